"""The published variants: their sizes, weights, hub ids and names. Imports no Keras and opens no connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from model.config import CheckpointError, NaFlexVisionConfig, SigLIPConfig, TextConfig, VisionConfig

EMBEDDED = ("SigLIPTinyP16", "pictograms_64")
EMBEDDED_DIRECTORY = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """A named checkpoint: its config, its hub id (None: part of this package), and its known file hashes.

    `generation` is 2 for SigLIP 2. Its towers may have the same sizes as those of SigLIP 1, but its texts are tokenized
    differently.
    """

    config: SigLIPConfig
    generation: int = 1
    hub_id: str | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)


BASE = {"width": 768, "depth": 12, "num_heads": 12, "mlp_dim": 3072}
LARGE = {"width": 1024, "depth": 24, "num_heads": 16, "mlp_dim": 4096}
SO400M = {"width": 1152, "depth": 27, "num_heads": 16, "mlp_dim": 4304}
GIANT_OPT = {"width": 1536, "depth": 40, "num_heads": 16, "mlp_dim": 6144}

# All English checkpoints of SigLIP 1 have this vocabulary file; the multilingual ones have another.
C4_EN = {"spiece.model": "1e5036bed065526c3c212dfbe288752391797c4bb1a284aa18c9a0b23fcaf8ec"}
BASE_224 = {"model.safetensors": "2c63cb7d1f2e95ba501893cbb8faeb4ea9a3af295498d35097126228659c2af8"}
SO400M_384 = {"model.safetensors": "ea2abad2b7f8a9c1aa5e49a244d5d57ffa71c56f720c94bc5d240ef4d6e1d94a"}


def _published(
    hub_id: str,
    sizes: dict[str, int],
    image_size: int,
    *,
    patch_size: int = 16,
    context_length: int = 64,
    vocab_size: int = 32_000,
    sha256: Mapping[str, str] = C4_EN,
) -> PublishedWeights:
    config = SigLIPConfig(
        vision=VisionConfig(image_size=(image_size, image_size), patch_size=patch_size, **sizes),
        text=TextConfig(vocab_size=vocab_size, context_length=context_length, **sizes),
        embed_dim=sizes["width"],
    )
    return PublishedWeights(config=config, hub_id=hub_id, sha256=sha256)


def _published_2(
    hub_name: str,
    sizes: dict[str, int],
    image_size: int,
    *,
    patch_size: int = 16,
    text_sizes: dict[str, int] | None = None,
) -> PublishedWeights:
    """Returns a SigLIP 2: Gemma's vocabulary, 64 tokens. `text_sizes` is for a text tower of other sizes."""
    config = SigLIPConfig(
        vision=VisionConfig(image_size=(image_size, image_size), patch_size=patch_size, **sizes),
        text=TextConfig(vocab_size=256_000, **(text_sizes or sizes)),
        embed_dim=sizes["width"],
    )
    return PublishedWeights(config=config, generation=2, hub_id=f"google/siglip2-{hub_name}")


def _naflex(hub_name: str, sizes: dict[str, Any]) -> PublishedWeights:
    """Returns a SigLIP 2 that keeps the aspect ratio of images, with positions for 16 x 16 patches."""
    config = SigLIPConfig(
        vision=NaFlexVisionConfig(**sizes), text=TextConfig(vocab_size=256_000, **sizes), embed_dim=sizes["width"]
    )
    return PublishedWeights(config=config, generation=2, hub_id=f"google/siglip2-{hub_name}")


TINY = SigLIPConfig(
    vision=VisionConfig(width=192, depth=6, num_heads=3, mlp_dim=768, image_size=(64, 64), patch_size=16),
    text=TextConfig(width=192, depth=3, num_heads=3, mlp_dim=768, vocab_size=8192, context_length=16),
    embed_dim=192,
)

VARIANTS: Mapping[str, Mapping[str, PublishedWeights]] = {
    "SigLIPBaseP16": {
        "google_224": _published("google/siglip-base-patch16-224", BASE, 224, sha256=C4_EN | BASE_224),
        "google_256": _published("google/siglip-base-patch16-256", BASE, 256),
        "google_multilingual_256": _published(
            "google/siglip-base-patch16-256-multilingual", BASE, 256, vocab_size=250_000, sha256={}
        ),
        "google_384": _published("google/siglip-base-patch16-384", BASE, 384),
        "google_512": _published("google/siglip-base-patch16-512", BASE, 512),
    },
    "SigLIPLargeP16": {
        "google_256": _published("google/siglip-large-patch16-256", LARGE, 256),
        "google_384": _published("google/siglip-large-patch16-384", LARGE, 384),
    },
    "SigLIPSo400mP14": {
        "google_224": _published("google/siglip-so400m-patch14-224", SO400M, 224, patch_size=14, context_length=16),
        "google_384": _published(
            "google/siglip-so400m-patch14-384", SO400M, 384, patch_size=14, sha256=C4_EN | SO400M_384
        ),
    },
    "SigLIPSo400mP16": {
        "google_i18n_256": _published(
            "google/siglip-so400m-patch16-256-i18n", SO400M, 256, vocab_size=250_000, sha256={}
        ),
    },
    "SigLIP2BaseP32": {
        "google_256": _published_2("base-patch32-256", BASE, 256, patch_size=32),
    },
    "SigLIP2BaseP16": {
        "google_224": _published_2("base-patch16-224", BASE, 224),
        "google_256": _published_2("base-patch16-256", BASE, 256),
        "google_384": _published_2("base-patch16-384", BASE, 384),
        "google_512": _published_2("base-patch16-512", BASE, 512),
    },
    "SigLIP2LargeP16": {
        "google_256": _published_2("large-patch16-256", LARGE, 256),
        "google_384": _published_2("large-patch16-384", LARGE, 384),
        "google_512": _published_2("large-patch16-512", LARGE, 512),
    },
    "SigLIP2So400mP14": {
        "google_224": _published_2("so400m-patch14-224", SO400M, 224, patch_size=14),
        "google_384": _published_2("so400m-patch14-384", SO400M, 384, patch_size=14),
    },
    "SigLIP2So400mP16": {
        "google_256": _published_2("so400m-patch16-256", SO400M, 256),
        "google_384": _published_2("so400m-patch16-384", SO400M, 384),
        "google_512": _published_2("so400m-patch16-512", SO400M, 512),
    },
    "SigLIP2GiantOptP16": {
        "google_256": _published_2("giant-opt-patch16-256", GIANT_OPT, 256, text_sizes=SO400M),
        "google_384": _published_2("giant-opt-patch16-384", GIANT_OPT, 384, text_sizes=SO400M),
    },
    "SigLIP2BaseP16NaFlex": {"google_naflex": _naflex("base-patch16-naflex", BASE)},
    "SigLIP2So400mP16NaFlex": {"google_naflex": _naflex("so400m-patch16-naflex", SO400M)},
    "SigLIPTinyP16": {"pictograms_64": PublishedWeights(config=TINY)},
}


def choose_weights(variant: str | None, weights: str | None) -> tuple[str, str] | None:
    """Returns the names (variant, weights) for these arguments, or None if `weights` is a directory or hub id.

    | variant         | weights         | result                                            |
    |-----------------|-----------------|---------------------------------------------------|
    | None            | None            | the embedded checkpoint                           |
    | "SigLIPBaseP16" | None            | its first weights, google_224                     |
    | None            | "pictograms_64" | the only variant with it, else CheckpointError    |
    | any             | "owner/name"    | None                                              |

    Raises:
        CheckpointError: The variant or the weights are unknown, or several variants have weights of this name.
    """
    if variant is not None and variant not in VARIANTS:
        raise CheckpointError(f"unknown variant {variant!r}. Known: {', '.join(VARIANTS)}")
    if weights is None:
        variant = variant or EMBEDDED[0]
        return variant, next(iter(VARIANTS[variant]))
    owners = [name for name, named in VARIANTS.items() if weights in named and variant in (None, name)]
    if len(owners) == 1:
        return owners[0], weights
    if owners:
        raise CheckpointError(
            f"several variants have the weights {weights!r}: {', '.join(owners)}; name the variant too"
        )
    if "/" in weights or Path(weights).expanduser().is_dir():
        return None
    known = "; ".join(f"{name}: {', '.join(named)}" for name, named in VARIANTS.items() if variant in (None, name))
    raise CheckpointError(
        f"unknown weights {weights!r}. Known: {known}. "
        "A checkpoint directory or a hub id, such as google/siglip-base-patch16-224, is accepted too"
    )


def variant_of(config: SigLIPConfig, generation: int = 1) -> str | None:
    """Returns the variant with this generation and these `tower_sizes`, or None."""
    for variant, named in VARIANTS.items():
        first = next(iter(named.values()))
        if first.generation == generation and tower_sizes(first.config) == tower_sizes(config):
            return variant
    return None


def tower_sizes(config: SigLIPConfig) -> SigLIPConfig:
    """Returns the config without what differs within a variant: image size, vocabulary size and context length."""
    text = replace(config.text, vocab_size=1, context_length=1)
    if isinstance(config.vision, VisionConfig):
        return replace(config, vision=replace(config.vision, image_size=(1, 1)), text=text)
    return replace(config, text=text)
