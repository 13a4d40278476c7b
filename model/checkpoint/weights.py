"""Reads checkpoint files into a model's variables and writes them, both by `model.checkpoint.tensor_table`.

`model.checkpoint.tensor_names` finds the tensors in the file.

Before it changes a variable, loading checks all names, shapes and types in the files' headers. If one is wrong, the
model remains unchanged. Tensors are read one at a time, and the file is unmapped after each, so peak memory is that of
the model, not of model and file (`benchmarks/load_memory.py`).
"""

import json
import math
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from safetensors.numpy import save_file

from model.checkpoint.diagnosis import Mismatch, describe
from model.checkpoint.hf_config import config_json, read_config, tokenizer_json
from model.checkpoint.hf_image_processor import preprocessor_json, usual_resample
from model.checkpoint.naming import naming_of
from model.checkpoint.safetensors_files import SINGLE_FILE, as_float32, open_safetensors, read_tensor
from model.checkpoint.tensor_names import StoredTensor, log_wrappers, stored_tensors
from model.checkpoint.tensor_table import tensor_table, to_checkpoint, to_keras
from model.config import CheckpointError, SigLIPConfig
from model.network.positions import interpolate_positions
from model.network.siglip import SigLIP
from model.text.tokenizer import SigLIPTokenizer
from model.text.vocabulary import sentencepiece_bytes

DTYPES = ("F32", "F16", "BF16", "F64")
ROWS_AT_ONCE = 8192


def load_checkpoint(model: SigLIP, directory: Path | str) -> None:
    """Fills a model's variables from a Hugging Face or open_clip checkpoint directory, of one file or shards.

    Tensors are F32, F16, BF16 or F64. If the model was built for another image size than the checkpoint, its position
    embedding is interpolated.

    Raises:
        CheckpointError: Tensors are missing, unexpected, or of a wrong shape or type; the message has the likely cause.
            The model is unchanged.
    """
    log_wrappers(Path(directory))
    fill(model, Path(directory))


def check_tensors(directory: Path) -> int:
    """Checks that a checkpoint has all tensors in their shapes, and returns their number. Reads only headers.

    Raises:
        CheckpointError: As `load_checkpoint`.
    """
    with keras.StatelessScope(initialize_variables=False):  # variables have shapes, but take no memory
        model = SigLIP(read_config(directory))
    return len(checked_tensors(model, directory))


def model_from_checkpoint(config: SigLIPConfig, directory: Path, dtype: str) -> SigLIP:
    """Returns a new model with a checkpoint's weights.

    The token table is the initial value of its variable. In the multilingual checkpoint it is half of the file. If it
    were assigned later, it would be in memory four times; if it were written in place, TensorFlow would copy it at each
    later use (45 ms).

    Raises:
        CheckpointError: As `load_checkpoint`.
    """
    tensors = stored_tensors(directory)
    name = naming_of(tensors).token_table

    def token_table(shape: tuple[int, ...], dtype: str) -> Any:
        # If the table does not fit, `fill` reports that together with all other problems.
        return read_rows(tensors[name], shape, dtype) if name in tensors else ops.zeros(shape, dtype)

    model = SigLIP(config, dtype=dtype, token_table=token_table)
    fill(model, directory, filled={name})
    return model


def fill(model: SigLIP, directory: Path, filled: Collection[str] = ()) -> None:
    """Checks that the whole checkpoint fits the model, then reads all tensors but `filled` into their variables."""
    tensors = checked_tensors(model, directory)
    naming, grid, our_grid = naming_of(tensors), read_config(directory).vision.grid, model.config.vision.grid
    for name, slot in naming.table(model).items():
        if name in filled:
            continue
        tensor = read_tensor(*tensors[name])
        parts = np.split(tensor, len(slot.variables)) if len(slot.variables) > 1 else [tensor]
        for variable, part in zip(slot.variables, parts, strict=True):
            value = to_keras(slot.layout, part)
            if name == naming.image_positions and grid != our_grid:
                value = interpolate_positions(value, grid, our_grid)
            variable.assign(value)


def checked_tensors(model: SigLIP, directory: Path) -> dict[str, StoredTensor]:
    """Returns the file and the name of each tensor.

    Raises:
        CheckpointError: The checkpoint does not fit the model.
    """
    tensors, config = stored_tensors(directory), read_config(directory)
    naming = naming_of(tensors)
    shapes = {name: slot.shape() for name, slot in naming.table(model).items()}
    positions = shapes[naming.image_positions]
    shapes[naming.image_positions] = (*positions[:-2], math.prod(config.vision.grid), positions[-1])
    if found := mismatch(shapes, tensors):
        raise CheckpointError(describe(found, directory, config, DTYPES))
    return tensors


def mismatch(shapes: dict[str, tuple[int, ...]], tensors: dict[str, StoredTensor]) -> Mismatch:
    """Returns the tensors that are missing, unexpected, or of a wrong shape or type. Reads only headers."""
    found = Mismatch(
        len(shapes),
        missing={name: shape for name, shape in shapes.items() if name not in tensors},
        unexpected=[name for name in tensors if name not in shapes],
    )
    for path in sorted({path for path, _ in tensors.values()}):
        with open_safetensors(path) as file:
            for name in (name for name in shapes if name in tensors and tensors[name].path == path):
                tensor = file.get_slice(tensors[name].name)
                shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
                if shape != shapes[name]:
                    found.wrong_shape[name] = shape, shapes[name]
                if dtype not in DTYPES:
                    found.wrong_type[name] = dtype
    return found


def read_rows(stored: StoredTensor, shape: tuple[int, ...], dtype: str) -> Any:
    """Returns a table as a tensor, read in parts of ROWS_AT_ONCE rows; zeros if the file has another shape."""
    parts = []
    for start in range(0, shape[0], ROWS_AT_ONCE):
        with open_safetensors(stored.path) as file:
            tensor = file.get_slice(stored.name)
            if tuple(tensor.get_shape()) != tuple(shape):
                return ops.zeros(shape, dtype)
            rows = as_float32(tensor[start : min(start + ROWS_AT_ONCE, shape[0])])
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
        model: Any SigLIP for square images, or a NaFlex.
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
        rules = tokenizer.rules
        if rules.generation == 1:  # transformers' SiglipTokenizer reads no tokenizer.json
            (directory / rules.files[0]).write_bytes(sentencepiece_bytes(tokenizer.path))
        else:
            shutil.copyfile(tokenizer.path, directory / tokenizer.path.name)
        write_json(directory / "tokenizer_config.json", tokenizer_json(model.config.text.context_length, rules))
        resample = usual_resample(rules) if resample is None else resample
        write_json(directory / "preprocessor_config.json", preprocessor_json(model.config.vision, resample))


def write_json(path: Path, values: dict[str, Any]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)
