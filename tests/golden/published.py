"""The published checkpoints from tables 1.1 and 6 of the specification, and their `config.json`."""

from typing import NamedTuple


class Tower(NamedTuple):
    """The sizes of one transformer."""

    width: int
    depth: int
    num_heads: int
    mlp_dim: int

    def config_json(self) -> dict:
        """Returns the tower's part of config.json on the hub, which omits keys whose value is the default."""
        return {
            "hidden_size": self.width,
            "intermediate_size": self.mlp_dim,
            "num_attention_heads": self.num_heads,
            **({} if self.depth == 12 else {"num_hidden_layers": self.depth}),
        }


class Published(NamedTuple):
    """One row of the tables. `millions` is the number of parameters in millions, with the published digits.

    A NaFlex has no image size.
    """

    variant: str
    weights: str
    hub_id: str
    image_size: int | None
    patch_size: int
    vision: Tower
    text: Tower
    vocab_size: int
    context_length: int
    millions: float

    def config_json(self) -> dict:
        """Returns config.json as on the hub, which omits keys whose value is the default."""
        model_type = "siglip" if self.image_size else "siglip2"
        vision = {} if self.image_size in (224, None) else {"image_size": self.image_size}
        text = {} if self.context_length == 64 else {"max_position_embeddings": self.context_length}
        if self.text.width != self.vision.width:
            text["projection_size"] = self.vision.width
        return {
            "architectures": [f"{model_type.title()}Model"],
            "initializer_factor": 1.0,
            "model_type": model_type,
            "text_config": {
                "model_type": f"{model_type}_text_model",
                "vocab_size": self.vocab_size,
                **self.text.config_json(),
                **text,
            },
            "torch_dtype": "float32",
            "transformers_version": "4.37.0.dev0",
            "vision_config": {
                "model_type": f"{model_type}_vision_model",
                "patch_size": self.patch_size,
                **self.vision.config_json(),
                **vision,
            },
        }


BASE, LARGE = Tower(768, 12, 12, 3072), Tower(1024, 24, 16, 4096)
SO400M, GIANT = Tower(1152, 27, 16, 4304), Tower(1536, 40, 16, 6144)
PUBLISHED_1 = [
    Published(variant, weights, f"google/siglip-{name}", image_size, patch_size, tower, tower, vocab_size, length, m)
    for variant, weights, name, image_size, patch_size, tower, vocab_size, length, m in [
        ("SigLIPBaseP16", "google_224", "base-patch16-224", 224, 16, BASE, 32_000, 64, 203.16),
        ("SigLIPBaseP16", "google_256", "base-patch16-256", 256, 16, BASE, 32_000, 64, 203.20),
        ("SigLIPBaseP16", "google_multilingual_256", "base-patch16-256-multilingual", 256, 16, BASE, 250_000, 64,
         370.63),
        ("SigLIPBaseP16", "google_384", "base-patch16-384", 384, 16, BASE, 32_000, 64, 203.45),
        ("SigLIPBaseP16", "google_512", "base-patch16-512", 512, 16, BASE, 32_000, 64, 203.79),
        ("SigLIPLargeP16", "google_256", "large-patch16-256", 256, 16, LARGE, 32_000, 64, 652.15),
        ("SigLIPLargeP16", "google_384", "large-patch16-384", 384, 16, LARGE, 32_000, 64, 652.48),
        ("SigLIPSo400mP14", "google_224", "so400m-patch14-224", 224, 14, SO400M, 32_000, 16, 877.36),
        ("SigLIPSo400mP14", "google_384", "so400m-patch14-384", 384, 14, SO400M, 32_000, 64, 877.96),
        ("SigLIPSo400mP16", "google_i18n_256", "so400m-patch16-256-i18n", 256, 16, SO400M, 250_000, 64, 1128.76),
    ]
]  # fmt: skip
PUBLISHED_2 = [
    Published(
        variant, f"google_{image_size}", f"google/siglip2-{name}-patch{patch_size}-{image_size}", image_size,
        patch_size, vision, SO400M if vision == GIANT else vision, 256_000, 64, millions,
    )
    for variant, name, image_size, patch_size, vision, millions in [
        ("SigLIP2BaseP32", "base", 256, 32, BASE, 376.86),
        ("SigLIP2BaseP16", "base", 224, 16, BASE, 375.19),
        ("SigLIP2BaseP16", "base", 256, 16, BASE, 375.23),
        ("SigLIP2BaseP16", "base", 384, 16, BASE, 375.48),
        ("SigLIP2BaseP16", "base", 512, 16, BASE, 375.82),
        ("SigLIP2LargeP16", "large", 256, 16, LARGE, 881.53),
        ("SigLIP2LargeP16", "large", 384, 16, LARGE, 881.85),
        ("SigLIP2LargeP16", "large", 512, 16, LARGE, 882.31),
        ("SigLIP2So400mP14", "so400m", 224, 14, SO400M, 1135.46),
        ("SigLIP2So400mP14", "so400m", 384, 14, SO400M, 1136.01),
        ("SigLIP2So400mP16", "so400m", 256, 16, SO400M, 1135.67),
        ("SigLIP2So400mP16", "so400m", 384, 16, SO400M, 1136.04),
        ("SigLIP2So400mP16", "so400m", 512, 16, SO400M, 1136.56),
        ("SigLIP2GiantOptP16", "giant-opt", 256, 16, GIANT, 1871.39),
        ("SigLIP2GiantOptP16", "giant-opt", 384, 16, GIANT, 1871.89),
    ]
]  # fmt: skip
PUBLISHED_NAFLEX = [
    Published(
        f"SigLIP2{name}P16NaFlex", "google_naflex", f"google/siglip2-{name.lower()}-patch16-naflex", None, 16, tower,
        tower, 256_000, 64, millions,
    )
    for name, tower, millions in [("Base", BASE, 375.23), ("So400m", SO400M, 1135.67)]
]  # fmt: skip
PUBLISHED = PUBLISHED_1 + PUBLISHED_2 + PUBLISHED_NAFLEX
