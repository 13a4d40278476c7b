"""What a Hugging Face checkpoint directory says about its images: one filter is heeded, all else must be as it is here.

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
UNSUPPORTED = "such pixels are not supported"
WHY = {"size": "config.json's image_size is what the position embedding was made for"}


def read_resample(directory: Path, image_size: tuple[int, int], rules: TokenizerRules) -> int:
    """Returns the filter that a checkpoint directory wants its images resized with, by Pillow's number.

    Transformers 5 saves a processor's image part inside `processor_config.json`, and reads that first. A directory that
    has no such file gets the filter of its generation; one that does not name a filter, transformers' default.

    Raises:
        CheckpointError: It wants pixels that are not made here, or other sizes than its `config.json` names.
    """
    path, wanted = image_processor(directory)
    if wanted is None:
        return usual_resample(rules)
    size = {"height": image_size[0], "width": image_size[1]}
    for key, ours in {**PIXEL_RULES, "size": size}.items():
        value = wanted.get(key)
        if value not in (None, ours) and not (key == "size" and value == image_size[0]):
            raise CheckpointError(f"{path}: {key} must be {ours}, not {value}: {WHY.get(key, UNSUPPORTED)}")
    resample = BICUBIC if wanted.get("resample") is None else wanted["resample"]
    if resample not in tuple(FILTERS):
        known = ", ".join(f"{number} ({name})" for number, name in FILTERS.items())
        raise CheckpointError(f"{path}: resample must be one of {known}, not {resample!r}: {UNSUPPORTED}")
    return int(resample)


def image_processor(directory: Path) -> tuple[Path, dict[str, Any] | None]:
    """Returns what a directory says about images, None if it says nothing, and the file that does."""
    path = directory / "processor_config.json"
    if path.is_file() and (nested := read_object(path).get("image_processor")) is not None:
        return path, as_object(nested, f"{path}: image_processor")
    path = directory / "preprocessor_config.json"
    return path, read_object(path) if path.is_file() else None


def usual_resample(rules: TokenizerRules) -> int:
    """Returns the filter that a generation was published with."""
    return BILINEAR if rules.generation == 2 else BICUBIC


def preprocessor_json(image_size: tuple[int, int], resample: int = BICUBIC) -> dict[str, Any]:
    """Returns `preprocessor_config.json` as the published checkpoints have it: squash, to [-1, 1]."""
    return {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor",
        "size": {"height": image_size[0], "width": image_size[1]},
        "resample": resample,
        **{key: value for key, value in PIXEL_RULES.items() if key != "do_center_crop"},
    }
