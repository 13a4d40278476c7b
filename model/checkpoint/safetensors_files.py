"""The safetensors files of a checkpoint directory: which there are, what is in them, and their fingerprint."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from model.checkpoint.hub import sha256
from model.config import CheckpointError

SINGLE_FILE, INDEX_FILE = "model.safetensors", "model.safetensors.index.json"


def checkpoint_files(directory: Path) -> list[Path]:
    """Returns the safetensors files of a checkpoint directory, one or its shards in order.

    Raises:
        CheckpointError: There are none, or one that the index names is missing.
    """
    if (directory / SINGLE_FILE).is_file():
        return [directory / SINGLE_FILE]
    if not (directory / INDEX_FILE).is_file():
        raise CheckpointError(f"{directory} holds neither {SINGLE_FILE} nor {INDEX_FILE}")
    try:
        names = sorted(set(json.loads((directory / INDEX_FILE).read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{directory / INDEX_FILE} is not a safetensors index: {error!r}") from error
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise CheckpointError(f"{directory} lacks {', '.join(missing)}, which {INDEX_FILE} names")
    return [directory / name for name in names]


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """Opens a safetensors file.

    Raises:
        CheckpointError: It is truncated or is no such file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a complete safetensors file: {error}") from error


def tensor_files(directory: Path) -> dict[str, Path]:
    """Returns the file of every tensor in a checkpoint; `position_ids`, buffers of old exports, are left out."""
    found: dict[str, Path] = {}
    for path in checkpoint_files(directory):
        with open_safetensors(path) as file:
            found |= {name: path for name in file.keys() if not name.endswith("position_ids")}  # noqa: SIM118 (no dict)
    return found


def read_tensor(path: Path, name: str) -> np.ndarray:
    """Returns a tensor in float32."""
    # Opened anew for each tensor: an open file keeps every page that was read resident, a second copy of it all.
    with open_safetensors(path) as file:
        tensor: np.ndarray = file.get_tensor(name)
        return tensor.astype(np.float32, copy=False)


def fingerprint(directory: Path) -> str:
    """Returns the sha256 of the checkpoint's tensors: of the one file, or of its shards' digests in order."""
    digests = [sha256(path) for path in checkpoint_files(directory)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
