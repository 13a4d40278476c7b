"""Which image files are meant: those that are named, and those below a named folder; and their bytes."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from app.errors import ServiceError
from app.images import identify

HEAD_BYTES = 4096  # enough to tell what a file is
MAX_FILE_BYTES = 1_000_000_000  # more than 50 megapixels take in any format


class NotScored(Exception):
    """A file has no scores; the message says why."""


class NotAnImage(NotScored):
    """A file that was found in a folder, and not named, is no image: nobody has meant it."""


class ImageFile(NamedTuple):
    """A file that may be an image: `named`, or found in a folder. A folder that cannot be read is one with a fault."""

    path: str
    named: bool = False
    fault: str = ""

    def read(self) -> bytes:
        """Returns the bytes, if the first of them are those of an image in an accepted format.

        Raises:
            NotAnImage: They are not, and the file was found in a folder.
            NotScored: They are not, though the file was named; or it cannot be read, or is far too large.
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
    """Yields the named files, and for a folder all files below it, in order. Nothing is opened yet."""
    for path in paths:
        if Path(path).is_dir():
            yield from below(path)
        else:
            yield ImageFile(path, named=True)


def below(folder: str) -> Iterator[ImageFile]:
    """Yields the files below a folder by name, without hidden ones. Links to folders may loop, and are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        yield ImageFile(folder, fault=error.strerror or str(error))
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from below(entry.path)
        else:
            try:
                is_file = entry.is_file()
            except OSError as error:  # a link that leads to itself, or into a folder that may not be entered
                yield ImageFile(entry.path, fault=error.strerror or str(error))
                continue
            if is_file:
                yield ImageFile(entry.path)
