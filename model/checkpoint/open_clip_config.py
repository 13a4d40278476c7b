"""Reads `open_clip_config.json`: the architecture and the image settings of a SigLIP that open_clip saved.

timm computes the GELU of most SigLIPs exactly. Here they are computed like all others, with the approximation that
Google trained them with and that transformers uses.

Source: `model_configs/*SigLIP*.json` of open_clip 3.3.0, and `save_config_for_hf` for the image settings.
"""

import re
from typing import Any

from model.config import CheckpointError, SigLIPConfig, TextConfig, VisionConfig
from model.published import BASE, GIANT_OPT, LARGE, SO400M

OPEN_CLIP_CONFIG = "open_clip_config.json"
TIMM_NAME = re.compile(r"vit_(base|large|so400m|giantopt)_patch(\d+)_siglip_\d+")
TIMM_SIZES = {"base": BASE, "large": LARGE, "so400m": SO400M, "giantopt": GIANT_OPT}
# What makes a text tower that of a SigLIP, with the defaults of open_clip.
TEXT_RULES = {"no_causal_mask": (True, False), "pool_type": ("last", "argmax"), "proj_bias": (True, False)}
FILTERS = {"bicubic": 3, "bilinear": 2}


def open_clip_model(values: dict[str, Any], name: str) -> SigLIPConfig:
    """Returns the config that an `open_clip_config.json` describes; errors contain `name`.

    Raises:
        CheckpointError: It describes another architecture.
    """
    try:
        model = values["model_cfg"]
        vision, text = model["vision_cfg"], model["text_cfg"]
        found = TIMM_NAME.fullmatch(str(vision.get("timm_model_name")))
        if not found or (vision.get("timm_pool"), vision.get("timm_proj")) != ("map", "none"):
            raise CheckpointError(
                f"{name}: it is an open_clip model, but not a SigLIP: timm_model_name must be like "
                f"vit_base_patch16_siglip_224, with timm_pool 'map', not {vision.get('timm_model_name')!r}"
            )
        for key, (ours, default) in TEXT_RULES.items():
            if text.get(key, default) != ours:
                raise CheckpointError(f"{name}: text_cfg's {key} must be {ours!r}, not {text.get(key, default)!r}")
        size, width = vision["image_size"], text["width"]
        return SigLIPConfig(
            vision=VisionConfig(
                image_size=tuple(size) if isinstance(size, list) else (size, size),
                patch_size=int(found[2]),
                **TIMM_SIZES[found[1]],
            ),
            text=TextConfig(
                width=width,
                depth=text["layers"],
                num_heads=text["heads"],
                mlp_dim=int(width * text.get("mlp_ratio", 4)),
                vocab_size=text["vocab_size"],
                context_length=text["context_length"],
            ),
            embed_dim=model["embed_dim"],
        )
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{name} is not the config of an open_clip SigLIP: {error!r}") from error


def open_clip_image_settings(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns the image settings of an `open_clip_config.json` under the names of a `preprocessor_config.json`.

    Raises:
        CheckpointError: Images are not squashed.
    """
    settings = values.get("preprocess_cfg") or {}
    if settings.get("resize_mode", "squash") != "squash":
        raise CheckpointError(f"{name}: resize_mode must be 'squash', not {settings['resize_mode']!r}")
    interpolation = settings.get("interpolation", "bicubic")
    return {
        "image_mean": settings.get("mean"),
        "image_std": settings.get("std"),
        "resample": FILTERS.get(interpolation, interpolation),
    }
