"""Which image files a command reads: named files, and the files below named folders."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from app.errors import ServiceError
from app.images import identify

HEAD_BYTES = 4096  # enough to identify the format
MAX_FILE_BYTES = 1_000_000_000  # more than 50 megapixels need in any format


class NotScored(Exception):
    """A file has no scores; the message says why."""


class NotAnImage(NotScored):
    """A file in a folder, not named itself, is not an image."""


class ImageFile(NamedTuple):
    """A file that may be an image: `named`, or found in a folder. `fault` says why a folder cannot be read."""

    path: str
    named: bool = False
    fault: str = ""

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotAnImage: It is not one, and was found in a folder.
            NotScored: It is not one, and was named; or it cannot be read, or is too large.
        """
        if self.fault:
            raise NotScored(self.fault)
        try:
            with Path(self.path).open("rb") as file:
                head = file.read(HEAD_BYTES)
                try:
                    identify(head)
                except ServiceError as error:
                    raise NotScored(error.detail) if self.named else NotAnImage from None
                size_bytes = os.fstat(file.fileno()).st_size
                if size_bytes > MAX_FILE_BYTES:
                    raise NotScored(f"The file has {size_bytes:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
                return head + file.read()
        except OSError as error:
            raise NotScored(error.strerror or str(error)) from None


def image_files(paths: Sequence[str]) -> Iterator[ImageFile]:
    """Yields the named files, and for a folder all files below it, in order. No file is opened yet."""
    for path in paths:
        if Path(path).is_dir():
            yield from files_below(path)
        else:
            yield ImageFile(path, named=True)


def files_below(folder: str) -> Iterator[ImageFile]:
    """Yields the files below a folder by name, except hidden ones. Links to folders are not followed."""
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
            try:
                is_file = entry.is_file()
            except OSError as error:  # a link to itself, or into a folder without permission
                yield ImageFile(entry.path, fault=error.strerror or str(error))
                continue
            if is_file:
                yield ImageFile(entry.path)
