"""Output folders on this machine, or in an object store such as `s3://bucket/folder`.

A file of an output folder appears whole or not at all, whenever the process is killed: locally it is renamed after it
was written, and an object store shows an object only when its upload has ended.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from fsspec.implementations.local import LocalFileSystem

from app.batch import BatchError, BatchMistake
from app.batch.storage import as_storage_error, file_system, reason_of

TEMPORARY = ".tmp"
# Stores that show a file only when it is complete. Writing a file elsewhere can be interrupted half-way.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
FOR_TESTS = "memory"


class Folder(NamedTuple):
    """An output folder. Names are relative to it."""

    fs: Any
    path: str
    name: str
    """For people."""

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's file system."""
        return isinstance(self.fs, LocalFileSystem)

    def place(self, name: str) -> str:
        """Returns a file's path in the file system."""
        return f"{self.path}/{name}"

    def names(self) -> list[str]:
        """Returns the names in the folder; none if it does not exist.

        Raises:
            BatchError: The storage fails.
        """
        try:
            with as_storage_error(self.name):
                if self.is_local:
                    return os.listdir(self.path)
                found = self.fs.ls(self.path, detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise BatchMistake(f"{self.name}: {reason_of(error)}") from None
        # An empty folder in an object store may be an object with the folder's own name.
        names = (entry.rstrip("/").removeprefix(self.path).lstrip("/") for entry in found)
        return [name for name in names if name]

    def read(self, name: str) -> bytes | None:
        """Returns a file's content, or None if there is no such file.

        Raises:
            BatchError: The storage fails.
        """
        try:
            with as_storage_error(f"{self.name}/{name}"):
                content: bytes = self.fs.cat_file(self.place(name))
                return content
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BatchError(f"{self.name}/{name}: {reason_of(error)}") from None

    def write(self, name: str, content: bytes) -> None:
        """Stores or replaces a file. It appears whole.

        Raises:
            BatchError: The storage fails, or is full.
        """
        self._store(name, content, is_new=False)

    def create(self, name: str, content: bytes) -> None:
        """Stores a file, unless there is one of this name. It appears whole.

        Raises:
            BatchError: The storage fails, or is full.
        """
        if self.is_local:
            with suppress(FileExistsError):
                self._store(name, content, is_new=True)
            return
        try:
            self._store(name, content, is_new=True)
        except (FileExistsError, BatchError):
            # Some stores cannot do it, and the others have errors of their own for it.
            if self.read(name) is None:
                self._store(name, content, is_new=False)

    def _store(self, name: str, content: bytes, *, is_new: bool) -> None:
        try:
            if self.is_local:
                write_whole(Path(self.place(name)), content, is_new=is_new)
                return
            with as_storage_error(f"{self.name}/{name}"):
                self.fs.pipe_file(self.place(name), content, **({"mode": "create"} if is_new else {}))
        except FileExistsError:
            raise
        except OSError as error:
            raise BatchError(f"{self.name}/{name}: {reason_of(error)}") from error

    def tidy(self) -> None:
        """Removes what killed processes have left. Another process that writes just then is not disturbed."""
        for name in self.names() if self.is_local else ():
            if name.endswith(TEMPORARY):
                Path(self.place(name)).unlink(missing_ok=True)


def output_folder(url: str) -> Folder:
    """Returns an output folder, which need not exist.

    Raises:
        BatchMistake: It is a file, or its file system can show a file that is half written.
    """
    fs, path = file_system(url)
    folder = Folder(fs, path.rstrip("/"), url.rstrip("/"))
    names = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if not folder.is_local and not names & {*OBJECT_STORES, FOR_TESTS}:
        raise BatchMistake(
            f"{url}: results are stored in a local folder, or in an object store: {', '.join(OBJECT_STORES)}"
        )
    if folder.is_local and os.path.isfile(path):
        raise BatchMistake(f"{url} is a file: name a folder")
    return folder


def write_whole(path: Path, content: bytes, *, is_new: bool) -> None:
    """Writes a local file, which appears whole, also if the machine loses its power.

    Raises:
        FileExistsError: It exists, and `is_new` is set.
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            link(temporary, path)
        else:
            temporary.replace(path)
    except FileNotFoundError:
        # Another process has finished the same job, and has tidied the folder.
        if not path.exists():
            raise
    finally:
        temporary.unlink(missing_ok=True)


def link(temporary: Path, path: Path) -> None:
    """Gives a file another name, which no file may have.

    Raises:
        FileExistsError: A file has it.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # some file systems have no such links, and so no way to do it at once
        if path.exists():
            raise FileExistsError from None
        temporary.replace(path)
