"""Finds the local directory of a checkpoint, and downloads it if needed. Only this module uses the network.

Downloads use `huggingface_hub`: its cache, resume, progress bar, HF_HUB_OFFLINE, HF_HOME and HF_TOKEN.
"""

import errno
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from model.checkpoint.missing_files import ADAPTER_FILE, adapter, repository_without_tensors
from model.config import CheckpointError
from model.published import EMBEDDED_DIRECTORY, VARIANTS, choose_weights

VOCABULARIES = ["spiece.model", "tokenizer.model"]
SMALL_FILES = [
    "config.json",
    "open_clip_config.json",
    "adapter_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    *VOCABULARIES,
]
TENSOR_FILES = ["*.safetensors", "model.safetensors.index.json"]
# Files in subfolders, such as checkpoint-500/model.safetensors of a training, can be gigabytes and are not needed. `*`
# matches a slash too.
NESTED = "*/*"
BYTES_BAR = "huggingface_hub.snapshot_download"  # the client's name for its progress bar of downloaded bytes
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def checkpoint_directory(
    variant: str | None,
    weights: str | None,
    *,
    revision: str | None = None,
    tensors: bool = True,
    on_stage: Callable[[str], None] | None = None,
) -> Path:
    """Returns the directory of a checkpoint, and downloads it if needed.

    Args:
        variant: A name of `VARIANTS`, or None.
        weights: A published name, a directory, a hub id, or None; see `choose_weights`.
        revision: A commit, branch or tag of the hub repository; None is its main branch.
        tensors: False downloads only the configuration and the vocabulary.
        on_stage: Called with "downloading 37 %" whenever the percentage grows; None draws a progress bar instead.

    Raises:
        CheckpointError: There is no such checkpoint, the hub cannot be reached, or a file is not the published one.
    """
    names = choose_weights(variant, weights)
    if names is None:
        if weights is not None and Path(weights).expanduser().is_dir():
            return Path(weights).expanduser()
        if weights is not None and Path(weights).expanduser().is_file():
            raise CheckpointError(f"{weights!r} is a file. Give its directory, which has config.json too")
        if weights is None or not HUB_ID.fullmatch(weights):
            raise CheckpointError(f"{weights!r} is neither an existing directory nor a hub id (owner/name)")
        return download(weights, revision, tensors, on_stage)
    published = VARIANTS[names[0]][names[1]]
    if published.hub_id is None:
        return EMBEDDED_DIRECTORY / names[1]
    directory = download(published.hub_id, revision, tensors, on_stage)
    if revision is None:
        check_sha256(directory, published.sha256)
    return directory


def download(hub_id: str, revision: str | None, tensors: bool, on_stage: Callable[[str], None] | None = None) -> Path:
    """Returns the local snapshot of a hub repository; files that the cache has are not downloaded again.

    Raises:
        CheckpointError: It is neither on the hub nor in the cache, or the hub cannot be reached.
    """
    # Imported here: it takes half a second, and the embedded checkpoint does not need it.
    from huggingface_hub import snapshot_download

    def fetch(patterns: list[str]) -> Path:
        bar = percent_bar(on_stage, lambda: missing_bytes(hub_id, revision, patterns)) if on_stage else None
        return Path(
            snapshot_download(
                hub_id, revision=revision, allow_patterns=patterns, ignore_patterns=NESTED, tqdm_class=bar
            )
        )

    try:
        directory = fetch(SMALL_FILES + (TENSOR_FILES if tensors else []))
        if not any((directory / name).is_file() for name in VOCABULARIES):
            directory = fetch(["tokenizer.json"])  # 34 MB, so only if it is the only vocabulary file
    # huggingface_hub's errors are subclasses of OSError or ValueError, but those of its HTTP library are not.
    except Exception as error:
        raise CheckpointError(f"{hub_id} could not be fetched: {failure_reason(error, revision)}") from error
    if (directory / ADAPTER_FILE).is_file():
        raise CheckpointError(adapter(directory, hub_id))
    if tensors and not any(directory.glob("*.safetensors")):
        names = {file.path for file in repository_files(hub_id, revision)}
        raise CheckpointError(repository_without_tensors(hub_id, names, revision))
    return directory


def failure_reason(error: Exception, revision: str | None) -> str:
    """Returns one sentence with the reason and the remedy; the client's own messages have many lines."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision!r}"
    if isinstance(error, GatedRepoError):
        return "it is gated: accept its conditions on the hub, and set HF_TOKEN to an access token of the same account"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such repository, or it is private; for a private one, set HF_TOKEN"
    reason = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{reason}. The cache cannot be written: set HF_HOME to a folder that this user can write"
    return (
        f"{reason}. If this machine has no network, use a checkpoint directory, or fill the cache (HF_HOME) on another "
        "machine and copy it here, or use the embedded demonstration weights, pictograms_64"
    )


def percent_bar(on_stage: Callable[[str], None], total: Callable[[], int]) -> Any:
    """Returns a progress bar class that draws nothing and reports each new whole percentage of `total` bytes."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]  # documented, but not in __all__

    class PercentBar(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            # The bar's own total grows with each file that starts, so it would be at 100 % after the first small file.
            self.total_bytes = total() if options.get("name") == BYTES_BAR else 0
            self.bytes, self.percent, self.counting = 0, -1, threading.Lock()
            super().__init__(*args, **options | {"disable": True})  # type: ignore[no-untyped-call]  # untyped
            self.update(0)

        def update(self, n: float | None = 1) -> None:
            """Counts bytes, from several threads; negative if a file is restarted."""
            with self.counting:
                self.bytes += int(n or 0)
                if self.total_bytes and (percent := min(100 * self.bytes // self.total_bytes, 100)) > self.percent:
                    self.percent = percent
                    on_stage(f"downloading {percent} %")

    return PercentBar


def missing_bytes(hub_id: str, revision: str | None, patterns: list[str]) -> int:
    """Returns the size of the files that match `patterns` and are not cached, by the file list that the client cached.

    Returns 0 if there is no cached list. That is so in a read-only cache, which cannot get new files anyway.
    """
    from huggingface_hub import try_to_load_from_cache

    top = repository_files(hub_id, revision)
    files = [file for file in top if any(fnmatch(file.path, pattern) for pattern in patterns)]
    return sum(file.size for file in files if try_to_load_from_cache(hub_id, file.path, revision=revision) is None)


def repository_files(hub_id: str, revision: str | None) -> list[Any]:
    """Returns the files of a repository, except those in subfolders, by the file list that the client cached."""
    from huggingface_hub import get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    try:
        listing = get_cached_repo_tree(hub_id, revision=revision)
    except CachedRepoTreeNotFoundError:
        return []
    return [file for file in listing if not fnmatch(file.path, NESTED)]


def check_sha256(directory: Path, expected: Mapping[str, str]) -> None:
    """Compares the files of a directory with their published hashes; missing files are skipped.

    Raises:
        CheckpointError: A file differs.
    """
    for name, digest in expected.items():
        path = directory / name
        if path.is_file() and (found := sha256(path)) != digest:
            raise CheckpointError(
                f"{path} is not the published file: sha256 is {found}, not {digest}. Delete it to download it again; "
                "if the hub has a newer version that you trust, pin its revision"
            )


def sha256(path: Path) -> str:
    """Returns the file's sha256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
