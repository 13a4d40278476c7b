"""Reads the image settings of a Hugging Face checkpoint directory. Only the resize filter may vary.

Source: `preprocessor_config.json` of google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed.
"""

from pathlib import Path
from typing import Any

from model.checkpoint.hf_config import as_object, read_object
from model.config import CheckpointError
from model.preprocess import BICUBIC, BILINEAR, FILTERS
from model.text.tokenizer import TokenizerRules

PIXEL_RULES = {
    "do_resize": True,
    "do_center_crop": False,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
UNSUPPORTED = "other preprocessing is not supported"
WHY = {"size": "it must match config.json's image_size, for which the position embedding was trained"}


def read_resample(directory: Path, image_size: tuple[int, int], rules: TokenizerRules) -> int:
    """Returns Pillow's number of the filter that a checkpoint directory specifies for resizing.

    Transformers 5 saves image settings inside `processor_config.json`, and reads that file first. If no file has image
    settings, the filter is the default of the generation. If the settings name no filter, it is transformers' default.

    Raises:
        CheckpointError: The settings are not supported, or the size differs from `config.json`.
    """
    path, settings = image_processor(directory)
    if settings is None:
        return usual_resample(rules)
    size = {"height": image_size[0], "width": image_size[1]}
    for key, ours in {**PIXEL_RULES, "size": size}.items():
        value = settings.get(key)
        if value not in (None, ours) and not (key == "size" and value == image_size[0]):
            raise CheckpointError(f"{path}: {key} must be {ours}, not {value}: {WHY.get(key, UNSUPPORTED)}")
    resample = BICUBIC if settings.get("resample") is None else settings["resample"]
    if resample not in tuple(FILTERS):
        known = ", ".join(f"{number} ({name})" for number, name in FILTERS.items())
        raise CheckpointError(f"{path}: resample must be one of {known}, not {resample!r}: {UNSUPPORTED}")
    return int(resample)


def image_processor(directory: Path) -> tuple[Path, dict[str, Any] | None]:
    """Returns the file with a directory's image settings, and the settings, or None if there are none."""
    path = directory / "processor_config.json"
    if path.is_file() and (nested := read_object(path).get("image_processor")) is not None:
        return path, as_object(nested, f"{path}: image_processor")
    path = directory / "preprocessor_config.json"
    return path, read_object(path) if path.is_file() else None


def usual_resample(rules: TokenizerRules) -> int:
    """Returns the filter of a generation's published checkpoints."""
    return BILINEAR if rules.generation == 2 else BICUBIC


def preprocessor_json(image_size: tuple[int, int], resample: int = BICUBIC) -> dict[str, Any]:
    """Returns a `preprocessor_config.json` like the published ones: squash the image, scale it to [-1, 1]."""
    return {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor",
        "size": {"height": image_size[0], "width": image_size[1]},
        "resample": resample,
        **{key: value for key, value in PIXEL_RULES.items() if key != "do_center_crop"},
    }
