"""Label sets on disk: definitions as readable JSON, and their embeddings, which can be computed again.

    label-sets/NAME.json                       {"format": 2, "labels": [...], "templates": [...], ...}
    embeddings/ENCODER/DIGEST.npy              [K, E] float32; DIGEST is that of the definition's texts

Embeddings are written first, then the definition is renamed into place. If the process is killed, either the old set
or the new one is complete. Sets with equal texts share their embeddings. Each encoder has its own folder.

Format 2 has what was tuned, and the embeddings of examples, which cannot be computed again. A set without it is written
in format 1, which older versions read; they report a set in format 2, keep its file, and do not serve it.

The folder belongs to one process. This module has no locks: its caller makes one change at a time.
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

FORMAT, TUNED_FORMAT = 1, 2
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # for fullmatch; a set's name is also a file name

log = logging.getLogger("app")


class LabelSetFiles:
    """The stored definitions, and their embeddings by one encoder.

    Args:
        data_dir: The folder. It is created at the first write.
        encoder: Identifies everything that embeddings depend on, except the texts.
        embed_dim: E.
    """

    def __init__(self, data_dir: Path, encoder: str, embed_dim: int) -> None:
        self._definitions = data_dir.expanduser() / "label-sets"
        self._all_embeddings = data_dir.expanduser() / "embeddings"
        self._embeddings = self._all_embeddings / encoder
        self._embed_dim = embed_dim
        self._has_unreadable = False  # whether a definition could not be read

    def definitions(self, max_labels: int) -> dict[str, LabelSetDefinition]:
        """Returns the stored definitions by name.

        `max_labels` limits new sets. A stored set with more labels is still served, and a warning is logged.
        A file that cannot be read is logged and kept. All embeddings are then kept too, because some may belong to it.
        """
        found = {}
        for path in listed(self._definitions, ".json"):
            try:
                found[path.stem] = check_label_set(read_definition(path), sys.maxsize)
            except (OSError, ValueError, ServiceError) as error:
                log.error("the label set in %s cannot be read and is not served: %s", path, error)  # noqa: TRY400 (a line)
                self._has_unreadable = True
        larger = [f"{name} ({len(kept.labels):,})" for name, kept in found.items() if len(kept.labels) > max_labels]
        if larger:
            log.warning(
                "these label sets have more than SIGLIP_MAX_LABELS (%d) labels; they are served, but a PUT with that "
                "many labels is rejected: %s",
                max_labels,
                ", ".join(larger),
            )
        return found

    def embeddings(self, definition: LabelSetDefinition) -> np.ndarray | None:
        """Returns the definition's class embeddings [K, E] float32, memory-mapped, or None if missing or damaged.

        Files are replaced and never changed in place, so a mapped array stays valid.
        """
        path = self._embeddings_path(definition)
        try:
            embeddings = mapped(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, EOFError) as error:
            log.warning("the embeddings in %s are damaged and will be computed again: %s", path, error)
            return None
        if (
            embeddings.dtype != np.float32
            or embeddings.shape != (len(definition.labels), self._embed_dim)
            or not np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-2)
        ):
            log.warning("the embeddings in %s do not match their label set and will be computed again", path)
            return None
        return embeddings

    def write(self, name: str, definition: LabelSetDefinition, embeddings: np.ndarray) -> np.ndarray:
        """Stores a set, and replaces the one with this name. Returns its embeddings, memory-mapped.

        Embeddings that are memory-mapped are on the disk already.

        Raises:
            OSError: The set could not be stored. The old one stays.
        """
        if not isinstance(embeddings, np.memmap):
            array = BytesIO()  # np.save into a file would not report why a write failed
            np.save(array, embeddings, allow_pickle=False)
            with array.getbuffer() as content:  # released here: Python 3.12 crashes if the garbage collector does it
                write_file(self._embeddings_path(definition), content)
            embeddings = mapped(self._embeddings_path(definition))
        format_ = {"format": TUNED_FORMAT if definition.is_tuned else FORMAT}
        text = json.dumps(format_ | definition.whole, ensure_ascii=False, indent=1)
        write_file(self._definitions / f"{name}.json", text.encode())
        return embeddings

    def delete(self, name: str) -> None:
        """Removes the definition with this name, if it exists.

        Raises:
            OSError: The definition could not be removed.
        """
        (self._definitions / f"{name}.json").unlink(missing_ok=True)
        with suppress(OSError):
            sync_folder(self._definitions)

    def tidy(self, digests: Collection[str]) -> None:
        """Removes embeddings of other texts and encoders, and temporary files that a killed process has left."""
        kept = {self._embeddings / f"{digest}.npy" for digest in digests}
        folders = listed(self._all_embeddings)
        unused = [path for folder in folders for path in listed(folder, ".npy") if path not in kept]
        if self._has_unreadable:
            unused = []
        temporary = [path for folder in (self._definitions, *folders) for path in listed(folder, ".tmp")]
        for path in (*unused, *temporary):
            with suppress(OSError):  # the next start tries again
                path.unlink()
        for folder in folders:
            with suppress(OSError):  # the folder is not empty
                folder.rmdir()

    def _embeddings_path(self, definition: LabelSetDefinition) -> Path:
        return self._embeddings / f"{definition.texts_digest}.npy"


def read_definition(path: Path) -> LabelSetDefinition:
    """Returns the definition in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file's name is not valid for a label set, or the content is not JSON or has another format.
        InvalidRequest: A field is unknown, missing or of the wrong type.
    """
    if not NAME.fullmatch(path.stem):
        raise ValueError("its name is not valid for a label set")
    try:
        content = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(content, dict) or content.pop("format", None) not in (FORMAT, TUNED_FORMAT):
        raise ValueError(f'its field "format" is not {FORMAT} or {TUNED_FORMAT}')
    return validated(LabelSetDefinition, content, strict=True)


def mapped(path: Path) -> np.ndarray:
    """Returns a memory-mapped array, whose values are read from the file when they are used."""
    array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def listed(folder: Path, suffix: str = "") -> list[Path]:
    """Returns the paths in a folder that end with `suffix`, sorted; [] if the folder is missing or cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.name.endswith(suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.error("%s cannot be read: %s", folder, error)  # noqa: TRY400 (no traceback)
        return []


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Writes a file atomically and durably. It replaces an old file, which stays if the write fails.

    The content is on the disk before the file gets its name, so a power failure cannot leave a file without content.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    with suppress(OSError):  # some file systems do not support this; the file is in place anyway
        sync_folder(path.parent)


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents durably."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        with suppress(OSError):
            sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
