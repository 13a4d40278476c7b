"""Label sets on disk: definitions as JSON that people can read, and their embeddings, which can be made again.

    label-sets/NAME.json                       {"format": 1, "labels": [...], "templates": [...]}
    embeddings/ENCODER/DIGEST.npy              [K, E] float32; DIGEST is the definition's

Embeddings are written first, then the definition is renamed into its place: a kill at any moment leaves the old set or
the new one, whole. Two names with one definition share their embeddings, another encoder has its own.

The folder belongs to one process, and this room knows no locks: its caller makes one change at a time.
"""

import json
import logging
import os
import re
import sys
import uuid
from collections.abc import Collection
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np

from app.errors import ServiceError
from app.label_sets.definition import LabelSetDefinition, check_label_set
from app.validation import validated

FORMAT = 1
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # for fullmatch: it is a file's name, too

log = logging.getLogger("app")


class LabelSetFiles:
    """What is stored below one folder for one encoder.

    Args:
        data_dir: The folder; it is made at the first write.
        encoder: Names whatever embeddings depend on beside their texts.
        embed_dim: E.
    """

    def __init__(self, data_dir: Path, encoder: str, embed_dim: int) -> None:
        self._definitions = data_dir.expanduser() / "label-sets"
        self._all_embeddings = data_dir.expanduser() / "embeddings"
        self._embeddings = self._all_embeddings / encoder
        self._embed_dim = embed_dim
        self._damaged = False  # whether there is a definition that cannot be read

    def definitions(self, max_labels: int) -> dict[str, LabelSetDefinition]:
        """Returns the stored definitions by name.

        A limit on labels is for what clients send: a set that was stored under a higher one is served, with a warning.
        A damaged file is logged and left where it is, and so are all embeddings, since some may be its own.
        """
        found = {}
        for path in listed(self._definitions, ".json"):
            try:
                found[path.stem] = check_label_set(read_definition(path), sys.maxsize)
            except (OSError, ValueError, ServiceError) as error:
                log.error("the label set in %s is damaged and not served: %s", path, error)  # noqa: TRY400 (a line)
                self._damaged = True
        larger = [f"{name} ({len(kept.labels):,})" for name, kept in found.items() if len(kept.labels) > max_labels]
        if larger:
            log.warning(
                "these label sets have more than SIGLIP_MAX_LABELS (%d) labels; they are served, and cannot be stored "
                "again as they are: %s",
                max_labels,
                ", ".join(larger),
            )
        return found

    def embeddings(self, definition: LabelSetDefinition) -> np.ndarray | None:
        """Returns the definition's class embeddings [K, E] float32, mapped from their file; None if they are not there.

        Files are replaced and never changed, so what is mapped stays as it is.
        """
        path = self._embeddings_path(definition)
        try:
            embeddings = mapped(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, EOFError) as error:
            log.warning("the embeddings in %s are damaged: %s", path, error)
            return None
        if (
            embeddings.dtype != np.float32
            or embeddings.shape != (len(definition.labels), self._embed_dim)
            or not np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-2)
        ):
            log.warning("the embeddings in %s are not those of its labels", path)
            return None
        return embeddings

    def write(self, name: str, definition: LabelSetDefinition, embeddings: np.ndarray) -> np.ndarray:
        """Stores a set in the place of the one of this name; returns its embeddings mapped from their file.

        Raises:
            OSError: It could not be stored; what was stored before still is.
        """
        array = BytesIO()  # numpy, given the file, would not say why it could not write
        np.save(array, embeddings, allow_pickle=False)
        write_file(self._embeddings_path(definition), array.getbuffer())
        stored = mapped(self._embeddings_path(definition))
        text = json.dumps({"format": FORMAT} | definition.model_dump(), ensure_ascii=False, indent=1)
        write_file(self._definitions / f"{name}.json", text.encode())
        return stored

    def delete(self, name: str) -> None:
        """Removes the definition of this name, if there is one.

        Raises:
            OSError: It could not be removed.
        """
        (self._definitions / f"{name}.json").unlink(missing_ok=True)
        with suppress(OSError):
            sync_folder(self._definitions)

    def tidy(self, digests: Collection[str]) -> None:
        """Removes the embeddings of other definitions and other encoders, and what a kill has left half-written."""
        kept = {self._embeddings / f"{digest}.npy" for digest in digests}
        folders = listed(self._all_embeddings)
        unused = [path for folder in folders for path in listed(folder, ".npy") if path not in kept]
        if self._damaged:
            unused = []
        half_written = [path for folder in (self._definitions, *folders) for path in listed(folder, ".tmp")]
        for path in (*unused, *half_written):
            with suppress(OSError):  # the next start tries again
                path.unlink()
        for folder in folders:
            with suppress(OSError):  # one is not empty
                folder.rmdir()

    def _embeddings_path(self, definition: LabelSetDefinition) -> Path:
        return self._embeddings / f"{definition.digest}.npy"


def read_definition(path: Path) -> LabelSetDefinition:
    """Returns what a definition file says.

    Raises:
        OSError: It cannot be read.
        ValueError: Its name is none for a label set, it is not JSON, or it is of another format.
        InvalidRequest: A field is unknown, missing or of the wrong type.
    """
    if not NAME.fullmatch(path.stem):
        raise ValueError("its name is none for a label set")
    try:
        content = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    return validated(LabelSetDefinition, content, strict=True)


def mapped(path: Path) -> np.ndarray:
    """Returns an array whose values stay in their file until they are looked at, and do not fill the memory."""
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def listed(folder: Path, suffix: str = "") -> list[Path]:
    """Returns what a folder holds, in order, or only what ends so; nothing if it is missing or cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.error("%s cannot be read: %s", folder, error)  # noqa: TRY400 (no traceback)
        return []


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Puts a new file at the path, or in the place of the old one, at once and for good; on failure the old one stays.

    The new file's content is on the disk before it gets its name; a power cut cannot leave a name without content.
    """
    make_folder(path.parent)
    half_written = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with half_written.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half_written.replace(path)
    except BaseException:
        half_written.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems cannot; the file is in its place all the same
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, for good."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        with suppress(OSError):
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Sees to it that the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
