"""Reads the image settings of a Hugging Face checkpoint directory.

Only the resize filter may vary, and for NaFlex the number of patches.

Source: `preprocessor_config.json` of google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed.
"""

import json
from pathlib import Path
from typing import Any

from model.checkpoint.hf_config import as_object, config_file, read_object
from model.checkpoint.open_clip_config import OPEN_CLIP_CONFIG, open_clip_image_settings
from model.config import CheckpointError, NaFlexVisionConfig, VisionConfig
from model.patches import MAX_NUM_PATCHES, NaFlexPreprocessor
from model.preprocess import BICUBIC, BILINEAR, FILTERS, Preprocessor
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
# Images are RGB already, and these change nothing in that.
HARMLESS = ("do_convert_rgb",)
# The classes whose defaults are those above. Of another class, a setting that is missing could have any default.
FIXED_CLASSES = (None, "SiglipImageProcessor", "SiglipImageProcessorFast", "SiglipImageProcessorPil")
NAFLEX_CLASSES = (None, "Siglip2ImageProcessor", "Siglip2ImageProcessorFast", "Siglip2ImageProcessorPil")
UNSUPPORTED = "other preprocessing is not supported"
WHY = {
    "size": "it must match config.json's image_size, for which the position embedding was trained",
    "patch_size": "it must match config.json's",
}


def read_preprocessor(
    directory: Path, vision: VisionConfig | NaFlexVisionConfig, rules: TokenizerRules
) -> Preprocessor | NaFlexPreprocessor:
    """Returns how a checkpoint directory specifies that images are prepared.

    Transformers 5 saves image settings inside `processor_config.json`, and reads that file first. If no file has image
    settings, the filter is the default of the generation. If the settings name no filter, it is transformers' default.

    Raises:
        CheckpointError: The settings are not supported, or differ from `config.json`.
    """
    path, settings = image_processor(directory)
    if isinstance(vision, VisionConfig):
        height, width = vision.image_size
        sizes = {"size": {"height": height, "width": width}}
        resample = usual_resample(rules) if settings is None else read_resample(path, settings, sizes, BICUBIC)
        return Preprocessor(vision.image_size, resample)
    settings = settings or {}
    resample = read_resample(path, settings, {"patch_size": vision.patch_size}, BILINEAR)
    limit = settings.get("max_num_patches")
    try:
        return NaFlexPreprocessor(MAX_NUM_PATCHES if limit is None else limit, vision.patch_size, resample)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_resample(path: Path, settings: dict[str, Any], sizes: dict[str, Any], default: int) -> int:
    """Returns Pillow's number of the filter in image settings.

    Args:
        path: The file of the settings, for messages.
        settings: The settings.
        sizes: The settings that must match `config.json`.
        default: The filter if the settings name none.

    Raises:
        CheckpointError: The settings are not supported.
    """
    rules = {**PIXEL_RULES, **sizes}
    for key, value in settings.items():
        if key.startswith("do_") and value and key not in (*rules, *HARMLESS):
            raise CheckpointError(f"{path}: {key} must be false, not {json.dumps(value)}: {UNSUPPORTED}")
    kind, classes = settings.get("image_processor_type"), FIXED_CLASSES if "size" in sizes else NAFLEX_CLASSES
    if kind not in classes and (unset := [key for key in (*rules, "resample") if settings.get(key) is None]):
        raise CheckpointError(
            f"{path}: image_processor_type is {kind!r}, not {classes[1]!r}, so {', '.join(unset)} must be set"
        )
    for key, ours in rules.items():
        value = settings.get(key)
        if value not in (None, ours) and not (key == "size" and value == ours["height"]):
            texts = json.dumps(ours), json.dumps(value), WHY.get(key, UNSUPPORTED)
            raise CheckpointError("{}: {} must be {}, not {}: {}".format(path, key, *texts))
    resample = default if settings.get("resample") is None else settings["resample"]
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
    if not path.is_file() and config_file(directory).name == OPEN_CLIP_CONFIG:
        path = directory / OPEN_CLIP_CONFIG
        return path, open_clip_image_settings(read_object(path), str(path))
    return path, read_object(path) if path.is_file() else None


def usual_resample(rules: TokenizerRules) -> int:
    """Returns the filter of a generation's published checkpoints."""
    return BILINEAR if rules.generation == 2 else BICUBIC


def preprocessor_json(vision: VisionConfig | NaFlexVisionConfig, resample: int = BICUBIC) -> dict[str, Any]:
    """Returns a `preprocessor_config.json` like the published ones: resize the image, scale it to [-1, 1]."""
    if isinstance(vision, VisionConfig):
        name, (height, width) = "Siglip", vision.image_size
        sizes: dict[str, Any] = {"size": {"height": height, "width": width}}
    else:
        name, sizes = "Siglip2", {"patch_size": vision.patch_size, "max_num_patches": MAX_NUM_PATCHES}
    return {
        "image_processor_type": f"{name}ImageProcessor",
        "processor_class": f"{name}Processor",
        **sizes,
        "resample": resample,
        **{key: value for key, value in PIXEL_RULES.items() if key != "do_center_crop"},
    }
