"""Published checkpoints at full size, with perturbed tensors, read by transformers and by our loader."""

import gc
import json
import zlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModel

from model.checkpoint.hf_config import from_hf
from model.checkpoint.safetensors_files import INDEX_FILE
from model.checkpoint.variants import load_model
from model.patches import MAX_NUM_PATCHES, NaFlexPreprocessor
from tests.golden.cases import naflex_images, perturbed_tensor, pixels, token_ids
from tests.golden.published import BASE, PUBLISHED, Published
from tests.golden.stages import Difference, compare_stages, our_naflex_stages, our_stages
from tests.parity.reference import reference_naflex_stages, reference_stages

# `make parity` compares the light ones, `make acceptance` the heavy ones.
BY_WIDTH = sorted(PUBLISHED, key=lambda row: row.vision.width)  # neighbours have equal towers
LIGHT = [row for row in BY_WIDTH if row.vision == BASE or row[:2] == ("SigLIPSo400mP14", "google_224")]
HEAVY = [row for row in BY_WIDTH if row not in LIGHT]


def write_perturbed_checkpoint(config: dict, directory: Path) -> None:
    """Writes a `config.json` with perturbed tensors in shards, and their index.

    Shards that are there, from the checkpoint before, are used if their tensors have the same names and shapes, and
    deleted otherwise: checkpoints with equal towers differ only in the embeddings of positions, patches and tokens.
    """
    with torch.device("meta"):
        model = AutoModel.from_config(AutoConfig.for_model(**config))
    shards: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for name, parameter in model.named_parameters():
        shards[".".join(name.split(".")[:3])][name] = tuple(parameter.shape)
    files = {f"{part}-{zlib.crc32(repr(shapes).encode()):08x}.safetensors": shapes for part, shapes in shards.items()}
    for path in directory.glob("*.safetensors"):
        if path.name not in files:
            path.unlink()
    for file, shapes in files.items():
        if not (directory / file).exists():
            with ThreadPoolExecutor(2) as threads:  # NumPy's generators release the lock
                tensors = threads.map(perturbed_tensor, shapes, shapes.values())
                save_file(dict(zip(shapes, tensors, strict=True)), directory / file, {"format": "pt"})
    weight_map = {name: file for file, shapes in files.items() for name in shapes}
    (directory / INDEX_FILE).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (directory / "config.json").write_text(json.dumps(config))


def full_size_difference(row: Published, directory: Path, *, every_stage: bool) -> Difference:
    """Writes a published checkpoint, and returns the differences of our outputs from those of transformers.

    The config.json is as on the hub, which omits keys whose value is the default. Only one model is in memory at a
    time.

    Args:
        row: The checkpoint.
        directory: Where it is written, see `write_perturbed_checkpoint`.
        every_stage: Whether all stages are compared, which takes twice as long, or only embeddings and logits.
    """
    try:
        return compared(row, directory, every_stage=every_stage)
    finally:
        keras.utils.clear_session()
        gc.collect()


def compared(row: Published, directory: Path, *, every_stage: bool) -> Difference:
    """Does the work of `full_size_difference`. When it returns, nothing refers to the models."""
    write_perturbed_checkpoint(row.config_json(), directory)
    ids = token_ids(from_hf(row.config_json()), 4)
    if row.image_size:
        images = pixels((row.image_size, row.image_size), 3)
        if row.image_size > 256:
            images = images[1:]  # large images take long, and the first two differ too little
        theirs = reference_stages(AutoModel.from_pretrained(directory, dtype="float32"), images, ids)
        our_outputs = our_stages
    else:
        shapes = naflex_images()[:3]
        images = np.stack([NaFlexPreprocessor()(image) for image in shapes])
        theirs = reference_naflex_stages(
            AutoModel.from_pretrained(directory, dtype="float32"), shapes, ids, MAX_NUM_PATCHES
        )
        our_outputs = our_naflex_stages
    model = load_model(row.variant, directory)
    if every_stage:
        return compare_stages(our_outputs(model, images, ids), theirs)
    output = model({"images": images, "token_ids": ids})
    return compare_stages({name: np.asarray(value) for name, value in output.items()}, theirs)
