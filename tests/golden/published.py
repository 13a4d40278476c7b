"""The nine published checkpoints as the specification's table (1.1) has them, and their `config.json`."""

from typing import NamedTuple


class Published(NamedTuple):
    """One row of the table."""

    variant: str
    weights: str
    hub_id: str
    image_size: int
    patch_size: int
    width: int
    depth: int
    num_heads: int
    mlp_dim: int
    vocab_size: int
    context_length: int

    def config_json(self) -> dict:
        """Returns what the hub has: keys that equal a default are left out."""
        tower = {
            "hidden_size": self.width,
            "intermediate_size": self.mlp_dim,
            "num_attention_heads": self.num_heads,
            **({} if self.depth == 12 else {"num_hidden_layers": self.depth}),
        }
        vision = {} if self.image_size == 224 else {"image_size": self.image_size}
        text = {} if self.context_length == 64 else {"max_position_embeddings": self.context_length}
        return {
            "architectures": ["SiglipModel"],
            "initializer_factor": 1.0,
            "model_type": "siglip",
            "text_config": {"model_type": "siglip_text_model", "vocab_size": self.vocab_size, **tower, **text},
            "torch_dtype": "float32",
            "transformers_version": "4.37.0.dev0",
            "vision_config": {"model_type": "siglip_vision_model", "patch_size": self.patch_size, **tower, **vision},
        }


BASE, LARGE, SO400M = (768, 12, 12, 3072), (1024, 24, 16, 4096), (1152, 27, 16, 4304)
PUBLISHED = [
    Published(variant, weights, f"google/siglip-{name}", image_size, patch_size, *tower, vocab_size, context_length)
    for variant, weights, name, image_size, patch_size, tower, vocab_size, context_length in [
        ("SigLIPBaseP16", "google_224", "base-patch16-224", 224, 16, BASE, 32_000, 64),
        ("SigLIPBaseP16", "google_256", "base-patch16-256", 256, 16, BASE, 32_000, 64),
        ("SigLIPBaseP16", "google_multilingual_256", "base-patch16-256-multilingual", 256, 16, BASE, 250_000, 64),
        ("SigLIPBaseP16", "google_384", "base-patch16-384", 384, 16, BASE, 32_000, 64),
        ("SigLIPBaseP16", "google_512", "base-patch16-512", 512, 16, BASE, 32_000, 64),
        ("SigLIPLargeP16", "google_256", "large-patch16-256", 256, 16, LARGE, 32_000, 64),
        ("SigLIPLargeP16", "google_384", "large-patch16-384", 384, 16, LARGE, 32_000, 64),
        ("SigLIPSo400mP14", "google_224", "so400m-patch14-224", 224, 14, SO400M, 32_000, 16),
        ("SigLIPSo400mP14", "google_384", "so400m-patch14-384", 384, 14, SO400M, 32_000, 64),
    ]
]
