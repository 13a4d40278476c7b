"""Reads `config.json` and `tokenizer_config.json` of a Hugging Face checkpoint directory, and makes their contents.

`model.checkpoint.hf_image_processor` reads the image settings.

`HF_*` map our names to Hugging Face's. A key that is missing in config.json has the default of
`transformers.SiglipConfig`, or for NaFlex of `Siglip2Config`.

Source: the files of google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.checkpoint.diagnosis import other_model
from model.checkpoint.missing_files import without_config
from model.checkpoint.open_clip_config import OPEN_CLIP_CONFIG, open_clip_model
from model.config import CheckpointError, NaFlexVisionConfig, SigLIPConfig, TextConfig, VisionConfig
from model.published import variant_of
from model.text.tokenizer import SIGLIP, SIGLIP_2, TokenizerRules

HF_TOWER = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_dim": "intermediate_size",
    "layer_norm_eps": "layer_norm_eps",
}
HF_VISION = {**HF_TOWER, "patch_size": "patch_size"}
HF_TEXT = {**HF_TOWER, "vocab_size": "vocab_size", "context_length": "max_position_embeddings"}
HF_FIXED, HF_NAFLEX = "siglip", "siglip2"  # the `model_type`; a SigLIP 2 of fixed resolution is a "siglip"
HF_ACTIVATION = "gelu_pytorch_tanh"
GEMMA_VOCABULARY = 256_000
GENERIC_CLASSES = (None, "PreTrainedTokenizerFast", "TokenizersBackend")  # they can hold any tokenizer


def from_hf(values: Any, name: str = "config.json") -> SigLIPConfig:
    """Returns the config that a Hugging Face `config.json` describes; errors contain `name`.

    Raises:
        CheckpointError: It describes another architecture (CLIP, another activation), or a value is invalid.
    """
    try:
        check_architecture(values, name)
        vision, text = values.get("vision_config") or {}, values.get("text_config") or {}
        text_sizes = {ours: text[theirs] for ours, theirs in HF_TEXT.items() if theirs in text}
        text_config = TextConfig(**text_sizes)
        return SigLIPConfig(
            vision=naflex_config(vision) if values["model_type"] == HF_NAFLEX else vision_config(vision),
            text=text_config,
            embed_dim=text.get("projection_size") or text_config.width,
        )
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{name}: {error}") from error


def vision_config(values: Mapping[str, Any]) -> VisionConfig:
    """Returns the image tower of `vision_config`."""
    size = values.get("image_size", 224)
    height, width = size if isinstance(size, list) else (size, size)
    return VisionConfig(image_size=(height, width), **image_tower_sizes(values))


def naflex_config(values: Mapping[str, Any]) -> NaFlexVisionConfig:
    """Returns the image tower of a NaFlex's `vision_config`; `num_patches` are those of its position embedding."""
    positions = values.get("num_patches", 256)
    if (side := math.isqrt(positions)) ** 2 != positions:
        raise ValueError(f"num_patches must be a square number. Received: {positions}")
    return NaFlexVisionConfig(grid=(side, side), **image_tower_sizes(values))


def image_tower_sizes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the sizes that both kinds of image towers have; transformers may write `patch_size` as two sides."""
    sizes = {ours: values[theirs] for ours, theirs in HF_VISION.items() if theirs in values}
    if isinstance(patch := sizes.get("patch_size"), list):
        sizes["patch_size"], other = patch
        if other != sizes["patch_size"]:
            raise ValueError(f"patches must be square. Received: {patch}")
    return sizes


def check_architecture(values: Mapping[str, Any], name: str) -> None:
    """Raises a CheckpointError if the values describe an unsupported architecture."""
    if what := other_model(values):
        raise CheckpointError(f"{name}: the checkpoint {what}")
    if values.get("model_type") not in (HF_FIXED, HF_NAFLEX):
        raise CheckpointError(f"{name}: model_type must be 'siglip' or 'siglip2', not {values.get('model_type')!r}")
    vision, text = values.get("vision_config") or {}, values.get("text_config") or {}
    for tower in (vision, text):
        if tower.get("hidden_act", HF_ACTIVATION) != HF_ACTIVATION:
            raise CheckpointError(f"{name}: hidden_act must be {HF_ACTIVATION!r}, not {tower['hidden_act']!r}")
    if vision.get("num_channels", 3) != 3 or vision.get("vision_use_head", True) is not True:
        raise CheckpointError(f"{name}: only RGB image towers with an attention-pooling head are supported")


def read_config(directory: Path) -> SigLIPConfig:
    """Returns the architecture of a checkpoint directory.

    Raises:
        CheckpointError: It has no valid `config.json` of a SigLIP.
    """
    path = config_file(directory)
    if not path.is_file():
        names = {path.name for path in directory.iterdir()} if directory.is_dir() else set()
        raise CheckpointError(without_config(directory, names))
    if path.name == OPEN_CLIP_CONFIG:
        return open_clip_model(read_object(path), str(path))
    return from_hf(read_object(path), str(path))


def config_file(directory: Path) -> Path:
    """Returns the file that describes a checkpoint directory's architecture: config.json, or open_clip's."""
    path = directory / "config.json"
    return directory / OPEN_CLIP_CONFIG if (directory / OPEN_CLIP_CONFIG).is_file() and not path.is_file() else path


def read_tokenizer_rules(directory: Path) -> TokenizerRules:
    """Returns a checkpoint directory's text rules: by its tokenizer's class, else by its vocabulary file.

    | `tokenizer_class`                        | vocabulary file                     | rules    |
    |------------------------------------------|-------------------------------------|----------|
    | `SiglipTokenizer`, `T5Tokenizer` ...     | any                                 | SIGLIP   |
    | `GemmaTokenizer` ...                     | any                                 | SIGLIP_2 |
    | missing or generic                       | `spiece.model`                      | SIGLIP   |
    | missing or generic                       | `tokenizer.model`                   | SIGLIP_2 |
    | missing or generic                       | `tokenizer.json` of a unigram model | SIGLIP   |
    | missing or generic                       | another `tokenizer.json`            | SIGLIP_2 |
    | missing or generic                       | none, 256,000 tokens in config.json | SIGLIP_2 |
    | missing or generic                       | none, another number of tokens      | SIGLIP   |

    Raises:
        CheckpointError: The tokenizer is not supported.
    """
    path = directory / "tokenizer_config.json"
    values = read_object(path) if path.is_file() else {}
    named, both = values.get("tokenizer_class"), (SIGLIP, SIGLIP_2)
    if named in GENERIC_CLASSES:
        found = [rules for rules in both if rules.fits(rules.vocabulary(directory))]
        found = found or [SIGLIP_2 if read_config(directory).text.vocab_size == GEMMA_VOCABULARY else SIGLIP]
    else:
        found = [rules for rules in both if named in rules.classes]
    if not found:
        known = ", ".join(name for rules in both for name in rules.classes)
        raise CheckpointError(f"{path}: tokenizer_class must be one of {known}, not {named!r}")
    if found[0] is SIGLIP and values.get("do_lower_case", True) is not True:
        raise CheckpointError(f"{path}: do_lower_case must be true, as in every published SigLIP")
    return replace(
        found[0], end=token_text(values, "eos_token", found[0].end), pad=token_text(values, "pad_token", found[0].pad)
    )


def read_config_of(variant: str | None, directory: Path) -> SigLIPConfig:
    """Returns the architecture of a checkpoint directory.

    Args:
        variant: The variant that the checkpoint must have; None accepts any.
        directory: The checkpoint.

    Raises:
        CheckpointError: The checkpoint has another variant, or no valid `config.json`.
    """
    config = read_config(directory)
    if variant is not None:
        found = variant_of(config, read_tokenizer_rules(directory).generation)
        if found != variant:
            raise CheckpointError(f"{directory} is not a {variant} but {found or 'another model'}: {config}")
    return config


def token_text(values: Mapping[str, Any], key: str, default: str) -> str:
    """Returns the text of a special token, whose value is a string or an object with `content`."""
    token = values.get(key) or default
    return str(token.get("content") if isinstance(token, dict) else token)


def read_object(path: Path) -> dict[str, Any]:
    return as_object(read_json(path), str(path))


def as_object(values: Any, name: str) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise CheckpointError(f"{name} is not a JSON object")
    return values


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error


def config_json(config: SigLIPConfig) -> dict[str, Any]:
    """Returns the values of a complete `config.json`.

    Raises:
        ValueError: The images are not square, which `config.json` cannot express.
    """
    if isinstance(config.vision, NaFlexVisionConfig):
        model_type, (height, width) = HF_NAFLEX, config.vision.grid
        size = {"num_patches": height * width}
    else:
        model_type, (height, width) = HF_FIXED, config.vision.image_size
        size = {"image_size": height}
    if height != width:
        raise ValueError(f"a Hugging Face config.json supports only square images. Received: {height} x {width}")
    vision = {theirs: getattr(config.vision, ours) for ours, theirs in HF_VISION.items()}
    text = {theirs: getattr(config.text, ours) for ours, theirs in HF_TEXT.items()}
    # The tokenizer has these ids. The defaults of SiglipTextConfig are CLIP's, so they are overwritten.
    text |= {"projection_size": config.embed_dim, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    return {
        "architectures": [f"{model_type.capitalize()}Model"],
        "model_type": model_type,
        "initializer_factor": 1.0,
        "vision_config": {
            "model_type": f"{model_type}_vision_model",
            "hidden_act": HF_ACTIVATION,
            **size,
            **vision,
        },
        "text_config": {"model_type": f"{model_type}_text_model", "hidden_act": HF_ACTIVATION, **text},
    }


def tokenizer_json(context_length: int, rules: TokenizerRules = SIGLIP) -> dict[str, Any]:
    """Returns a `tokenizer_config.json` like the published ones: no attention mask, an end token, no start token."""
    values = {
        "tokenizer_class": rules.classes[0],
        "processor_class": "SiglipProcessor",
        "model_input_names": ["input_ids"],
        "model_max_length": context_length,
        "do_lower_case": True,
        "eos_token": rules.end,
        "pad_token": rules.pad,
        "unk_token": "<unk>",
    }
    if rules.generation == 2:
        values |= {"bos_token": "<bos>", "add_bos_token": False, "add_eos_token": True, "padding_side": "right"}
    return values
