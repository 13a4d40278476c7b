"""Reads checkpoint files into a model's variables and writes them, both by `model.checkpoint.tensor_table`.

Before it changes a variable, loading checks all names, shapes and types in the files' headers. If one is wrong, the
model remains unchanged. Tensors are read one at a time, and the file is unmapped after each, so peak memory is that of
the model, not of model and file (`benchmarks/load_memory.py`).
"""

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from safetensors.numpy import save_file

from model.checkpoint.hf_config import config_json, read_config, tokenizer_json
from model.checkpoint.hf_image_processor import preprocessor_json, usual_resample
from model.checkpoint.safetensors_files import SINGLE_FILE, open_safetensors, read_tensor, tensor_files
from model.checkpoint.tensor_table import IMAGE_POSITIONS, VOCABULARY_TABLE, Slot, tensor_table, to_checkpoint, to_keras
from model.config import CheckpointError, SigLIPConfig
from model.network.positions import interpolate_positions
from model.network.siglip import SigLIP
from model.text.tokenizer import SigLIPTokenizer

DTYPES = ("F32", "F16", "BF16")
ROWS_AT_ONCE = 8192


def load_checkpoint(model: SigLIP, directory: Path | str) -> None:
    """Fills a model's variables from a Hugging Face checkpoint directory: F32, F16 or BF16, one file or shards.

    If the model was built for another image size than the checkpoint, its position embedding is interpolated.

    Raises:
        CheckpointError: Tensors are missing, unexpected, or of a wrong shape or type; the message lists all. The model
            is unchanged.
    """
    fill(model, Path(directory), tensor_table(model))


def check_tensors(directory: Path) -> int:
    """Checks that a checkpoint has all tensors in their shapes, and returns their number. Reads only headers.

    Raises:
        CheckpointError: As `load_checkpoint`.
    """
    with keras.StatelessScope(initialize_variables=False):  # variables have shapes, but take no memory
        model = SigLIP(read_config(directory))
    return len(checked_files(model, directory))


def model_from_checkpoint(config: SigLIPConfig, directory: Path, dtype: str) -> SigLIP:
    """Returns a new model with a checkpoint's weights.

    The token table is the initial value of its variable. In the multilingual checkpoint it is half of the file. If it
    were assigned later, it would be in memory four times; if it were written in place, TensorFlow would copy it at each
    later use (45 ms).

    Raises:
        CheckpointError: As `load_checkpoint`.
    """
    path = tensor_files(directory).get(VOCABULARY_TABLE)

    def token_table(shape: tuple[int, ...], dtype: str) -> Any:
        # If the table does not fit, `fill` reports that together with all other problems.
        return read_rows(path, VOCABULARY_TABLE, shape, dtype) if path else ops.zeros(shape, dtype)

    model = SigLIP(config, dtype=dtype, token_table=token_table)
    fill(model, directory, {name: slot for name, slot in tensor_table(model).items() if name != VOCABULARY_TABLE})
    return model


def fill(model: SigLIP, directory: Path, unfilled: Mapping[str, Slot]) -> None:
    """Checks that the whole checkpoint fits the model, then reads the tensors of `unfilled` into their variables."""
    files = checked_files(model, directory)
    grid, our_grid = read_config(directory).vision.grid, model.config.vision.grid
    for name, slot in unfilled.items():
        tensor = read_tensor(files[name], name)
        if name == IMAGE_POSITIONS and grid != our_grid:
            tensor = interpolate_positions(tensor, grid, our_grid)
        for variable, part in zip(slot.variables, np.split(tensor, len(slot.variables)), strict=True):
            variable.assign(to_keras(slot.layout, part))


def checked_files(model: SigLIP, directory: Path) -> dict[str, Path]:
    """Returns the file of each tensor, or raises a CheckpointError if the checkpoint does not fit the model."""
    files, grid = tensor_files(directory), read_config(directory).vision.grid
    shapes = {name: slot.shape() for name, slot in tensor_table(model).items()}
    shapes[IMAGE_POSITIONS] = (math.prod(grid), *shapes[IMAGE_POSITIONS][1:])
    if problems := mismatches(shapes, files):
        raise CheckpointError(f"{directory} does not fit the model:\n  " + "\n  ".join(problems))
    return files


def mismatches(shapes: dict[str, tuple[int, ...]], files: dict[str, Path]) -> list[str]:
    """Returns a line for each tensor that is missing, unexpected, or of a wrong shape or type."""
    problems = [f"missing: {name} {list(shape)}" for name, shape in shapes.items() if name not in files]
    problems += [f"unexpected: {name}" for name in files if name not in shapes]
    for path in sorted(set(files.values())):
        with open_safetensors(path) as file:
            for name in (name for name in shapes if files.get(name) == path):
                tensor = file.get_slice(name)
                if tuple(tensor.get_shape()) != shapes[name]:
                    problems.append(f"wrong shape: {name} is {tensor.get_shape()}, not {list(shapes[name])}")
                if tensor.get_dtype() not in DTYPES:
                    problems.append(f"wrong type: {name} is {tensor.get_dtype()}, not one of {', '.join(DTYPES)}")
    return problems


def read_rows(path: Path, name: str, shape: tuple[int, ...], dtype: str) -> Any:
    """Returns a table as a tensor, read in parts of ROWS_AT_ONCE rows; zeros if the file has another shape."""
    parts = []
    for start in range(0, shape[0], ROWS_AT_ONCE):
        with open_safetensors(path) as file:
            tensor = file.get_slice(name)
            if tuple(tensor.get_shape()) != tuple(shape):
                return ops.zeros(shape, dtype)
            rows = tensor[start : min(start + ROWS_AT_ONCE, shape[0])].astype(np.float32)
        # Times 1.0: TensorFlow keeps two copies of a converted array, but only one of a computed result.
        parts.append(ops.cast(ops.multiply(rows, 1.0), dtype))
    return ops.concatenate(parts)


def save_checkpoint(
    model: SigLIP,
    directory: Path | str,
    *,
    dtype: str = "float32",
    tokenizer: SigLIPTokenizer | None = None,
    resample: int | None = None,
) -> None:
    """Writes a checkpoint directory that `transformers.SiglipModel.from_pretrained` and `load_checkpoint` can read.

    Args:
        model: Any SigLIP for square images.
        directory: Created if it does not exist. Each file is replaced completely or not at all.
        dtype: The type of the tensors in the file, "float32" or "float16".
        tokenizer: If given, its vocabulary and the text and image settings are written too: the model does not contain
            them, and `SigLIPProcessor` and the service need them.
        resample: The filter for resizing images, as in `Preprocessor`; None is the default of the tokenizer's
            generation. Ignored without a tokenizer.

    Raises:
        ValueError: The images are not square, which `config.json` cannot express, or `dtype` is unsupported.
    """
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype must be float32 or float16. Received: {dtype!r}")
    directory, config = Path(directory), config_json(model.config)
    tensors = {}
    for name, slot in tensor_table(model).items():
        parts = [to_checkpoint(slot.layout, np.asarray(ops.cast(v, dtype))) for v in slot.variables]
        tensors[name] = np.ascontiguousarray(np.concatenate(parts) if len(parts) > 1 else parts[0])
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f"{SINGLE_FILE}.partial"
    partial.touch()
    mode = partial.stat().st_mode  # by the umask, like the other files; save_file allows only the owner to read
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.chmod(mode)
    os.replace(partial, directory / SINGLE_FILE)
    write_json(directory / "config.json", {**config, "dtype": dtype})
    if tokenizer:
        rules, image_size = tokenizer.rules, model.config.vision.image_size
        shutil.copyfile(tokenizer.path, directory / tokenizer.path.name)
        write_json(directory / "tokenizer_config.json", tokenizer_json(model.config.text.context_length, rules))
        resample = usual_resample(rules) if resample is None else resample
        write_json(directory / "preprocessor_config.json", preprocessor_json(image_size, resample))


def write_json(path: Path, values: dict[str, Any]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
