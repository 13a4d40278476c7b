"""Which image files are read: named files, and the files below named folders."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from app.errors import ServiceError
from app.images.identify import identify

HEAD_BYTES = 4096  # enough to identify the format
MAX_FILE_BYTES = 1_000_000_000  # more than 50 megapixels need in any format


class NotScored(Exception):
    """A file has no scores; the message says why."""


class ReadableFile(Protocol):
    """A file that may be an image."""

    @property
    def path(self) -> str:
        """Its name in results."""

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotScored: It is not one, cannot be read, or is too large.
        """


class ImageFile(NamedTuple):
    """A file that may be an image. `fault` says why it cannot be read."""

    path: str
    fault: str = ""

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotScored: It is not one, cannot be read, or is too large.
        """
        if self.fault:
            raise NotScored(self.fault)
        try:
            with Path(self.path).open("rb") as file:
                head = file.read(HEAD_BYTES)
                identify(head)
                size_bytes = os.fstat(file.fileno()).st_size
                if size_bytes > MAX_FILE_BYTES:
                    raise NotScored(f"The file has {size_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
                return head + file.read()
        except ServiceError as error:
            raise NotScored(error.detail) from None
        except OSError as error:
            raise NotScored(error.strerror or str(error)) from None


def image_files(paths: Sequence[str]) -> Iterator[ImageFile]:
    """Yields the named files, and for a folder all files below it, in order. No file is opened yet."""
    for path in paths:
        if Path(path).is_dir():
            yield from files_below(path)
        else:
            yield ImageFile(path)


def files_below(folder: str) -> Iterator[ImageFile]:
    """Yields what is below a folder by name, except hidden files. Everything that is not a file has a `fault`."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        yield ImageFile(folder, fault=error.strerror or str(error))
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(entry.path)
        else:
            yield ImageFile(entry.path, fault_of(entry))


def fault_of(entry: os.DirEntry[str]) -> str:
    """Returns why an entry of a folder cannot be read, or ""."""
    try:
        kind = os.stat(entry.path).st_mode
    except OSError as error:  # a link to nothing or to itself, or no permission
        return error.strerror or str(error)
    if stat.S_ISDIR(kind):
        return "This is a link to a folder, which is not followed."
    return "" if stat.S_ISREG(kind) else "This is not a regular file."
