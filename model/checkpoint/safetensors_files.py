"""The safetensors files of a checkpoint directory: their paths, tensors and fingerprint."""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from model.checkpoint.hub import sha256
from model.checkpoint.missing_files import ADAPTER_FILE, adapter, without_tensors
from model.config import CheckpointError
from model.text.vocabulary import is_lfs_pointer

SINGLE_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"
OPEN_CLIP_FILE = "open_clip_model.safetensors"


def checkpoint_files(directory: Path) -> list[Path]:
    """Returns the safetensors files of a checkpoint directory: the single file, or the shards in order.

    Raises:
        CheckpointError: There are no such files, or a file that the index lists is missing, or there is an adapter that
            may not be merged into them.
    """
    if (directory / ADAPTER_FILE).is_file():
        raise CheckpointError(
            adapter(directory, has_weights=any((directory / name).is_file() for name in (SINGLE_FILE, INDEX_FILE)))
        )
    if (directory / SINGLE_FILE).is_file():
        return [directory / SINGLE_FILE]
    if not (directory / INDEX_FILE).is_file():
        if (directory / OPEN_CLIP_FILE).is_file():
            return [directory / OPEN_CLIP_FILE]
        raise CheckpointError(without_tensors(directory, {path.name for path in directory.iterdir()}))
    try:
        names = sorted(set(json.loads((directory / INDEX_FILE).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{directory / INDEX_FILE} is not a safetensors index: {error!r}") from error
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise CheckpointError(f"{directory} does not have {', '.join(missing)}, listed in {INDEX_FILE}")
    return [directory / name for name in names]


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Opens a safetensors file.

    Raises:
        CheckpointError: It is truncated, or is not a safetensors file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        if is_lfs_pointer(path):
            raise CheckpointError(f"{path} is only a pointer of Git LFS. Fetch the file: git lfs pull") from error
        raise CheckpointError(f"{path} is not a complete safetensors file: {error}") from error


def tensor_files(directory: Path) -> dict[str, Path]:
    """Returns the file of each tensor in a checkpoint, except `position_ids`, which are buffers of old exports."""
    found: dict[str, Path] = {}
    for path in checkpoint_files(directory):
        with open_safetensors(path) as file:
            found |= {name: path for name in file.keys() if not name.endswith("position_ids")}  # noqa: SIM118 (no dict)
    return found


def float32_bytes(directory: Path) -> int:
    """Returns the bytes of a checkpoint's tensors in float32. Reads only headers."""
    num_values = 0
    for path in checkpoint_files(directory):
        with open_safetensors(path) as file:
            num_values += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return 4 * num_values


def read_tensor(path: Path, name: str) -> np.ndarray:
    """Returns a tensor in float32."""
    # Opened again for each tensor: while it is open, all pages that were read stay in memory, as a second copy.
    with open_safetensors(path) as file:
        tensor: np.ndarray = file.get_tensor(name)
        return as_float32(tensor)


def as_float32(tensor: np.ndarray) -> np.ndarray:
    """Returns an array in float32. A float64 that is too large becomes infinite, which the self-test reports."""
    with np.errstate(over="ignore"):
        return tensor.astype(np.float32, copy=False)


def fingerprint(directory: Path) -> str:
    """Returns the sha256 of the single file, or that of the concatenated digests of the shards, in order."""
    digests = [sha256(path) for path in checkpoint_files(directory)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
