"""Says how a checkpoint's tensors differ from the model of its config.json, and what the likely cause is.

The message has at most 15 lines: transformers would fill missing tensors with random numbers, so a person must
understand at the first reading what is wrong.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.config import SigLIPConfig, VisionConfig

SHOWN = 3  # names of each kind
QUANTISED = "its weights are quantised. Save the model in float32, float16 or bfloat16"
SAVE_WHOLE = "Save the whole SiglipModel with model.save_pretrained"
PART = "is only a part of a SigLIP (SiglipVisionModel or SiglipTextModel), and labels need both towers. " + SAVE_WHOLE
CLASSIFIER = (
    "is an image classifier (SiglipForImageClassification): it has fixed classes and no text tower, so it cannot score "
    "labels. Use the SigLIP that it was made of, or transformers' pipeline('image-classification')"
)
LANGUAGE = (
    "is a language model that contains the image tower of a SigLIP. It has no text tower of a SigLIP, so it cannot "
    "score labels"
)
CLIP = "is a CLIP, which is another architecture. Use a SigLIP"
# model_type -> what such a checkpoint is
MODEL_TYPES = {
    **dict.fromkeys(["siglip_vision_model", "siglip_text_model", "siglip2_vision_model", "siglip2_text_model"], PART),
    **dict.fromkeys(["clip", "clip_vision_model", "clip_text_model", "chinese_clip", "altclip", "metaclip_2"], CLIP),
    **dict.fromkeys(["paligemma", "llava", "llava_onevision", "idefics2", "idefics3", "smolvlm", "gemma3"], LANGUAGE),
}
# A pattern in the names of tensors that a SigLIP does not have -> the cause
NAMES = {
    r"\blora_|\.base_layer\.|\.modules_to_save\.|\.lokr_|\.hada_|\.ia3_": (
        "it has an adapter (LoRA) that is not merged into the weights. Merge it where it was trained: "
        "model.merge_and_unload().save_pretrained"
    ),
    r"\.(SCB|absmax|quant_map|qweight|qzeros|scales|weight_scale|weight_format)$": QUANTISED,
    r"(^|\.)(language_model|vision_tower|multi_modal_projector|lm_head)\.": f"it {LANGUAGE}",
    r"visual_projection|class_embedding|^transformer\.resblocks\.": f"it {CLIP}",
}

# What is missing if a whole tower is missing.
TOWERS = {
    "image": ("vision_model.embeddings.", "vision_model.encoder."),
    "text": ("text_model.embeddings.", "text_model.encoder."),
}

Shape = tuple[int, ...]


@dataclass
class Mismatch:
    """How a checkpoint's tensors differ from a model's, by name.

    Attributes:
        total: The number of tensors of the model.
        missing: The tensors that only the model has, and their shapes.
        unexpected: The tensors that only the file has.
        wrong_shape: The shape in the file, and the model's.
        wrong_type: The type in the file.
    """

    total: int
    missing: dict[str, Shape] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    wrong_shape: dict[str, tuple[Shape, Shape]] = field(default_factory=dict)
    wrong_type: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.wrong_shape or self.wrong_type)


def describe(found: Mismatch, directory: Path, config: SigLIPConfig, types: Iterable[str]) -> str:
    """Returns the message, of at most 15 lines: the likely cause, the counts, and the first names of each kind.

    Args:
        found: The differences.
        directory: The checkpoint.
        config: The architecture in its config.json.
        types: The types of tensors that can be read.
    """
    kinds = {
        "missing": [f"{name} {list(shape)}" for name, shape in found.missing.items()],
        "unexpected": found.unexpected,
        "wrong shape": [f"{name} is {list(is_)}, not {list(ours)}" for name, (is_, ours) in found.wrong_shape.items()],
        "wrong type": [f"{name} is {type_}, not one of {', '.join(types)}" for name, type_ in found.wrong_type.items()],
    }
    counts = ", ".join(f"{len(lines)} {kind}" for kind, lines in kinds.items() if lines)
    cause = likely_cause(found, config)
    message = [f"{directory} does not fit the model: {cause}. Of {found.total} tensors: {counts}"]
    for kind, lines in kinds.items():
        message += [f"  {kind}: {line}" for line in lines[:SHOWN]]
        if len(lines) > SHOWN:
            message[-1] = f"  {kind}: and {len(lines) - SHOWN + 1} more, such as {lines[-1]}"
    return "\n".join(message)


def other_model(values: Mapping[str, Any]) -> str | None:
    """Returns what a config.json describes, if that is a known model, but not a SigLIP with both towers."""
    if {"SiglipForImageClassification", "Siglip2ForImageClassification"} & {*(values.get("architectures") or [])}:
        return CLASSIFIER
    if "model_type" not in values and str(values.get("architecture")).startswith("vit_"):
        return "is an image tower of timm, and labels need both towers. Use the same model of transformers or open_clip"
    return MODEL_TYPES.get(values.get("model_type", ""))


def likely_cause(found: Mismatch, config: SigLIPConfig) -> str:
    """Returns the likely cause in a few words, with what to do."""
    causes: list[Callable[[Mismatch, SigLIPConfig], str | None]] = [by_names, by_shapes, by_depth, by_parts]
    return next(cause for cause in (by(found, config) for by in causes) if cause)


def by_names(found: Mismatch, config: SigLIPConfig) -> str | None:
    """Returns the cause if unexpected names show it."""
    for pattern, cause in NAMES.items():
        if any(re.search(pattern, name) for name in found.unexpected):
            return cause
    if {*found.wrong_type.values()} & {"I8", "U8", "F8_E4M3"}:
        return QUANTISED
    if any(name.startswith("classifier.") for name in found.unexpected):
        return f"it {CLASSIFIER}" if found.missing else "it has a SigLIP and a classifier. Save the SiglipModel alone"
    scales = [name for name in found.unexpected if name.split(".")[-1] == "logit_scale"]
    return f"it has several models ({', '.join(scales[:2])}). Save only one of them" if len(scales) > 1 else None


def by_shapes(found: Mismatch, config: SigLIPConfig) -> str | None:
    """Returns the cause if config.json has another size than the tensors."""
    shapes = {name.removeprefix("visual.trunk."): is_ for name, (is_, _) in found.wrong_shape.items()}
    vision, text = "vision_model.embeddings.", "text_model.embeddings."
    if patch := shapes.get(f"{vision}patch_embedding.weight"):
        if len(patch) == 2 and isinstance(config.vision, VisionConfig):
            return "it is a NaFlex. model_type in config.json must be 'siglip2'"
        if len(patch) == 4 and not isinstance(config.vision, VisionConfig):
            return "it is not a NaFlex. model_type in config.json must be 'siglip'"
    if len(shapes) > SHOWN:
        return "config.json is of a model of another size. Copy the config.json of the model that was tuned"
    for name, key, value in (
        (f"{text}token_embedding.weight", "text_config.vocab_size", config.text.vocab_size),
        ("text.token_embedding.weight", "text_cfg.vocab_size", config.text.vocab_size),
        (f"{text}position_embedding.weight", "text_config.max_position_embeddings", config.text.context_length),
        ("text.positional_embedding", "text_cfg.context_length", config.text.context_length),
    ):
        if name in shapes and len(shapes[name]) == 2 and shapes[name][0] != value:
            return f"{key} in config.json is {value}, and the file has {shapes[name][0]} rows. Correct config.json"
    patches = shapes.get(f"{vision}position_embedding.weight") or shapes.get("pos_embed") or ()
    if len(patches) >= 2 and patches[-2] != math.prod(config.vision.grid):
        side = math.isqrt(patches[-2]) * config.vision.patch_size
        key = "image_size" if isinstance(config.vision, VisionConfig) else "num_patches"
        return f"{key} in config.json does not fit {patches[-2]} positions, which are {side} pixels. Correct it"
    return None


def by_depth(found: Mismatch, config: SigLIPConfig) -> str | None:
    """Returns the cause if whole layers are missing or unexpected, and nothing else."""
    names = [*found.missing, *found.unexpected]
    if found.wrong_shape or found.wrong_type or (found.missing and found.unexpected):
        return None
    if names and all(re.search(r"\.(layers|blocks|resblocks)\.\d+\.", name) for name in names) and len(names) % 4 == 0:
        return "the number of layers in config.json does not match the file. Correct num_hidden_layers"
    return None


def by_parts(found: Mismatch, config: SigLIPConfig) -> str:
    """Returns the cause by which parts are there."""
    missing = len(found.missing)
    for name in found.unexpected:
        if ends := [ours for ours in found.missing if name.endswith(f".{ours}")]:
            return f"only some names have a prefix, such as {name.removesuffix(ends[0])!r}. {SAVE_WHOLE}"
    if missing > 0.9 * found.total and found.unexpected:  # only the scale and the bias may be there
        return f"its tensors have other names, such as {found.unexpected[0]}. {SAVE_WHOLE}"
    lacking = [tower for tower, prefixes in TOWERS.items() if all(has_any(found.missing, part) for part in prefixes)]
    if len(lacking) == 1:
        return f"it has no {lacking[0]} tower, and labels need both. {SAVE_WHOLE}"
    if missing:
        return f"it is not complete, perhaps because only trained tensors were saved. {SAVE_WHOLE}"
    if found.unexpected:
        return "it has more than a SigLIP. Save only the SiglipModel: model.save_pretrained"
    return "its tensors were changed after they were saved, or are of another model"


def has_any(names: Iterable[str], prefix: str) -> bool:
    """Returns whether a name begins with a prefix."""
    return any(name.startswith(prefix) for name in names)
