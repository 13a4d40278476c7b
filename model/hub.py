"""Names, directories and hub ids to a local checkpoint directory. The only file that touches the network.

Downloads go through `huggingface_hub`: its cache, resume, progress bar, HF_HUB_OFFLINE, HF_HOME and HF_TOKEN.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from model.config import EMBEDDED_DIRECTORY, VARIANTS, CheckpointError, choose_weights

SMALL_FILES = ["config.json", "preprocessor_config.json", "tokenizer_config.json", "spiece.model"]
TENSOR_FILES = ["*.safetensors", "model.safetensors.index.json"]
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def checkpoint_directory(
    variant: str | None, weights: str | None, *, revision: str | None = None, tensors: bool = True
) -> Path:
    """Returns the directory that holds a checkpoint, downloaded if it has to be.

    Args:
        variant: A name of `VARIANTS`, or None.
        weights: A name, a directory, a hub id, or None; see `choose_weights`.
        revision: A commit, branch or tag of the hub repository; None is the published one.
        tensors: False fetches configuration and vocabulary only.

    Raises:
        CheckpointError: There is no such checkpoint, the hub cannot be reached, or a file is not what was published.
    """
    names = choose_weights(variant, weights)
    if names is None:
        if weights is not None and Path(weights).expanduser().is_dir():
            return Path(weights).expanduser()
        if weights is None or not HUB_ID.fullmatch(weights):
            raise CheckpointError(f"there is no directory {weights!r}, and it is no hub id (owner/name) either")
        return download(weights, revision, tensors)
    published = VARIANTS[names[0]][names[1]]
    if published.hub_id is None:
        return EMBEDDED_DIRECTORY / names[1]
    directory = download(published.hub_id, revision, tensors)
    if revision is None:
        check_sha256(directory, published.sha256)
    return directory


def download(hub_id: str, revision: str | None, tensors: bool) -> Path:
    """Returns the local snapshot of a hub repository, from the cache where it is already there.

    Raises:
        CheckpointError: It is neither on the hub nor in the cache, or the hub cannot be reached.
    """
    # Half a second, and an embedded checkpoint does not need it.
    from huggingface_hub import snapshot_download

    patterns = SMALL_FILES + (TENSOR_FILES if tensors else [])
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=patterns))
    # huggingface_hub's errors are OSError or ValueError by inheritance, except those of its HTTP library.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"{hub_id} could not be fetched ({reason}). "
            "Without a network: give a checkpoint directory instead of a name, or fill the cache (HF_HOME) on another "
            "machine and copy it here, or use the embedded demonstration weights, pictograms_64"
        ) from error


def check_sha256(directory: Path, expected: Mapping[str, str]) -> None:
    """Compares the files of a directory with their published hashes; files that are not there are not compared.

    Raises:
        CheckpointError: A file differs.
    """
    for name, digest in expected.items():
        path = directory / name
        if path.is_file() and (found := sha256(path)) != digest:
            raise CheckpointError(
                f"{path} is not the published file: sha256 is {found}, not {digest}. Delete it to download it again; "
                "if the hub has a newer one that you trust, pin its revision"
            )


def sha256(path: Path) -> str:
    """Returns the file's sha256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
