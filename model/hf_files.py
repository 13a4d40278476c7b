"""The small JSON files of a Hugging Face checkpoint directory: what we heed of them, and all three written.

`HF_*` map our names to theirs; a key that config.json omits takes the default of `transformers.SiglipConfig`.

Source: the files of google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import CheckpointError, SigLIPConfig, TextConfig, VisionConfig

HF_TOWER = {
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "mlp_dim": "intermediate_size",
    "layer_norm_eps": "layer_norm_eps",
}
HF_VISION = {**HF_TOWER, "patch_size": "patch_size"}
HF_TEXT = {**HF_TOWER, "vocab_size": "vocab_size", "context_length": "max_position_embeddings"}
HF_ACTIVATION = "gelu_pytorch_tanh"
PIXEL_RULES = ("do_resize", "resample", "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")


def from_hf(values: Any, name: str = "config.json") -> SigLIPConfig:
    """Returns the config that a Hugging Face `config.json` describes; `name` is what errors call it.

    Raises:
        CheckpointError: It describes another architecture (NaFlex, CLIP, another activation) or makes no sense.
    """
    try:
        check_architecture(values, name)
        vision, text = values.get("vision_config") or {}, values.get("text_config") or {}
        side = vision.get("image_size", 224)
        vision_sizes = {ours: vision[theirs] for ours, theirs in HF_VISION.items() if theirs in vision}
        text_sizes = {ours: text[theirs] for ours, theirs in HF_TEXT.items() if theirs in text}
        text_config = TextConfig(**text_sizes)
        return SigLIPConfig(
            vision=VisionConfig(image_size=(side, side), **vision_sizes),
            text=text_config,
            embed_dim=text.get("projection_size") or text_config.width,
        )
    except (TypeError, ValueError, AttributeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{name}: {error}") from error


def check_architecture(values: Mapping[str, Any], name: str) -> None:
    """Raises a CheckpointError for what looks like a SigLIP and is not ours."""
    if values.get("model_type") != "siglip":
        raise CheckpointError(f"{name}: model_type must be 'siglip', not {values.get('model_type')!r}")
    vision, text = values.get("vision_config") or {}, values.get("text_config") or {}
    for tower in (vision, text):
        if tower.get("hidden_act", HF_ACTIVATION) != HF_ACTIVATION:
            raise CheckpointError(f"{name}: hidden_act must be {HF_ACTIVATION!r}, not {tower['hidden_act']!r}")
    if vision.get("num_channels", 3) != 3 or vision.get("vision_use_head", True) is not True:
        raise CheckpointError(f"{name}: only RGB image towers with an attention-pooling head are supported")


def read_config(directory: Path) -> SigLIPConfig:
    """Returns the architecture of a checkpoint directory.

    Raises:
        CheckpointError: There is no readable SigLIP `config.json`.
    """
    path = directory / "config.json"
    if not path.is_file():
        raise CheckpointError(f"{directory} is not a checkpoint directory: it has no config.json")
    return from_hf(read_json(path), str(path))


def check_preprocessor(directory: Path) -> None:
    """Raises a CheckpointError if a checkpoint wants other pixels than `model.preprocess` makes (SigLIP 2 does).

    A directory without `preprocessor_config.json` wants the usual ones.
    """
    path = directory / "preprocessor_config.json"
    if not path.is_file():
        return
    wanted, ours = read_json(path), preprocessor_json((0, 0))
    for key in PIXEL_RULES:
        if wanted.get(key, ours[key]) != ours[key]:
            raise CheckpointError(
                f"{path}: {key} must be {ours[key]}, not {wanted[key]}: such pixels are not supported"
            )


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error


def config_json(config: SigLIPConfig) -> dict[str, Any]:
    """Returns a complete `config.json`.

    Raises:
        ValueError: The images are not square, which that format cannot say.
    """
    height, width = config.vision.image_size
    if height != width:
        raise ValueError(f"a Hugging Face config can only say square images. Received: {height} x {width}")
    vision = {theirs: getattr(config.vision, ours) for ours, theirs in HF_VISION.items()}
    text = {theirs: getattr(config.text, ours) for ours, theirs in HF_TEXT.items()}
    # SigLIP pads with </s>; SiglipTextConfig's own defaults for these ids are left over from CLIP.
    text |= {"projection_size": config.embed_dim, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
    return {
        "architectures": ["SiglipModel"],
        "model_type": "siglip",
        "initializer_factor": 1.0,
        "vision_config": {
            "model_type": "siglip_vision_model",
            "hidden_act": HF_ACTIVATION,
            "image_size": height,
            **vision,
        },
        "text_config": {"model_type": "siglip_text_model", "hidden_act": HF_ACTIVATION, **text},
    }


def preprocessor_json(image_size: tuple[int, int]) -> dict[str, Any]:
    """Returns `preprocessor_config.json` as the published checkpoints have it: squash, bicubic, to [-1, 1]."""
    return {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor",
        "do_resize": True,
        "size": {"height": image_size[0], "width": image_size[1]},
        "resample": 3,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def tokenizer_json(context_length: int) -> dict[str, Any]:
    """Returns `tokenizer_config.json` as the published checkpoints have it: no attention mask, pad is </s>."""
    return {
        "tokenizer_class": "SiglipTokenizer",
        "processor_class": "SiglipProcessor",
        "model_input_names": ["input_ids"],
        "model_max_length": context_length,
        "do_lower_case": True,
        "eos_token": "</s>",
        "pad_token": "</s>",
        "unk_token": "<unk>",
    }
