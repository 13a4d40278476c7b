"""The tensors and files of a SigLIP as open_clip saves it, converted from those of transformers.

Source: the modules of open_clip 3.3.0 and timm 1.0.31; not the table in `model.checkpoint.open_clip_table`.
"""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

Weights = dict[str, np.ndarray]

IMAGE_BLOCK = {
    "layer_norm1": "norm1",
    "self_attn.out_proj": "attn.proj",
    "layer_norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
TEXT_BLOCK = {
    "layer_norm1": "ln_1",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
HEAD = {"attention.out_proj": "proj", "layernorm": "norm", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}


def open_clip_weights(theirs: Weights) -> Weights:
    """Returns the tensors of a `SiglipModel` under open_clip's names and in its shapes."""
    trunk, pool = "visual.trunk", "visual.trunk.attn_pool"
    width = theirs["vision_model.head.probe"].shape[-1]
    found = {
        "logit_scale": theirs["logit_scale"][0],
        "logit_bias": theirs["logit_bias"][0],
        f"{trunk}.pos_embed": theirs["vision_model.embeddings.position_embedding.weight"][None],
        f"{pool}.latent": theirs["vision_model.head.probe"],
        "text.positional_embedding": theirs["text_model.embeddings.position_embedding.weight"],
        "text.token_embedding.weight": theirs["text_model.embeddings.token_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        found[f"{trunk}.patch_embed.proj.{kind}"] = theirs[f"vision_model.embeddings.patch_embedding.{kind}"]
        found[f"{trunk}.norm.{kind}"] = theirs[f"vision_model.post_layernorm.{kind}"]
        joined = theirs[f"vision_model.head.attention.in_proj_{kind}"]
        found[f"{pool}.q.{kind}"], found[f"{pool}.kv.{kind}"] = joined[:width], joined[width:]
        for name, other in HEAD.items():
            found[f"{pool}.{other}.{kind}"] = theirs[f"vision_model.head.{name}.{kind}"]
        found[f"text.ln_final.{kind}"] = theirs[f"text_model.final_layer_norm.{kind}"]
        found[f"text.text_projection.{kind}"] = theirs[f"text_model.head.{kind}"]
        for tower, blocks, names, attention in (
            ("vision_model", f"{trunk}.blocks", IMAGE_BLOCK, "attn.qkv."),
            ("text_model", "text.transformer.resblocks", TEXT_BLOCK, "attn.in_proj_"),
        ):
            for i in range(depth_of(theirs, tower)):
                layer = f"{tower}.encoder.layers.{i}"
                parts = [theirs[f"{layer}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
                found[f"{blocks}.{i}.{attention}{kind}"] = np.concatenate(parts)
                for name, other in names.items():
                    found[f"{blocks}.{i}.{other}.{kind}"] = theirs[f"{layer}.{name}.{kind}"]
    return {name: np.ascontiguousarray(tensor).reshape(tensor.shape) for name, tensor in found.items()}


def depth_of(weights: Weights, tower: str) -> int:
    return len({found[1] for name in weights if (found := re.match(rf"{tower}\.encoder\.layers\.(\d+)\.", name))})


def open_clip_config(**text: Any) -> dict[str, Any]:
    """Returns an `open_clip_config.json` like that of timm/ViT-B-16-SigLIP; `text` changes its `text_cfg`."""
    return {
        "model_cfg": {
            "embed_dim": 768,
            "init_logit_bias": -10,
            "custom_text": True,
            "vision_cfg": {
                "image_size": 224,
                "timm_model_name": "vit_base_patch16_siglip_224",
                "timm_model_pretrained": False,
                "timm_pool": "map",
                "timm_proj": "none",
            },
            "text_cfg": {
                "context_length": 64,
                "vocab_size": 32000,
                "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
                "tokenizer_kwargs": {"clean": "canonicalize"},
                "width": 768,
                "heads": 12,
                "layers": 12,
                "no_causal_mask": True,
                "proj_bias": True,
                "pool_type": "last",
                "norm_kwargs": {"eps": 1e-6},
                **text,
            },
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        },
    }


def write_open_clip_config(directory: Path, **text: Any) -> None:
    (directory / "open_clip_config.json").write_text(json.dumps(open_clip_config(**text)))
