"""The images in a source: the file itself, the members of a tar file, or the rows of a table; and how each is read."""

import tarfile
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from app.batch.files import ImageFile, NotScored, ReadableFile
from app.batch.inputs import TAR, Source
from app.batch.storage import as_storage_error, is_url, opened_file, read_file, reason_of
from app.batch.tables import Rows, TableError, table_images
from app.errors import ServiceError
from app.evaluation.webdataset import IMAGES
from app.images.identify import identify


class Entry(NamedTuple):
    """An image of a job. `fault` says why it cannot be read."""

    path: str
    """Its name in the results."""
    file: str
    """Where it is: a path or a URL."""
    source: str
    """The path or the URL of the file of the input that has it: itself, a tar file or a table."""
    start: int | None = None
    """In a tar file, its first byte; in a table, its row."""
    length: int | None = None
    """In a tar file, its bytes."""
    fault: str = ""
    version: str = ""
    """Of its tar file or table."""


class StoredFile(NamedTuple):
    """An image at a URL, or inside a tar file."""

    entry: Entry

    @property
    def path(self) -> str:
        """Its name in results."""
        return self.entry.path

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotScored: It is not one, cannot be read, or is too large.
            BatchError: The storage fails.
        """
        content = read_file(self.entry.file, self.entry.start or 0, self.entry.length)
        try:
            identify(content)
        except ServiceError as error:
            raise NotScored(error.detail) from None
        return content


class ReadFile(NamedTuple):
    """An image whose bytes are in memory, or the reason why there are none."""

    path: str
    content: bytes | NotScored

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotScored: It is not one, or there are none.
        """
        if isinstance(self.content, NotScored):
            raise self.content
        try:
            identify(self.content)
        except ServiceError as error:
            raise NotScored(error.detail) from None
        return self.content


def entries(source: Source, column: str | None) -> Iterator[Entry]:
    """Yields the images of a source. One that has none gives one entry with the reason.

    Args:
        source: A file.
        column: The column of a table with the images, or None for its usual names.

    Raises:
        BatchError: The storage fails.
    """
    if source.fault or not source.is_shard:
        yield Entry(source.path, source.file, source.file, fault=source.fault)
        return
    count = 0
    # The network may fail while a tar file at a URL is read, which is not a fault of the file.
    others = (tarfile.TarError, TableError, *(() if is_url(source.file) else (OSError,)))
    try:
        with as_storage_error(source.file, *others):
            for entry in members(source) if source.file.endswith(TAR) else table_entries(source, column):
                count += 1
                yield entry._replace(version=source.version)
        fault = "" if count else "The file has no images."
    except tarfile.TarError as error:
        fault = f"The file cannot be read as a tar file without compression: {error}"
    except TableError as error:
        fault = str(error)
    except OSError as error:
        fault = reason_of(error)
    if fault:
        yield Entry(source.path, source.file, source.file, fault=fault, version=source.version)


def members(source: Source) -> Iterator[Entry]:
    """Yields the images of a tar file. A member is an image by its suffix, as in webdataset."""
    with opened_file(source.file) as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if member.isreg() and not name.startswith(".") and name.rpartition(".")[2].lower() in IMAGES:
                yield Entry(f"{source.path}/{member.name}", source.file, source.file, member.offset_data, member.size)
        # The library takes half a header for the end.
        file.seek(archive.offset)
        if any(file.read(tarfile.BLOCKSIZE)):
            raise tarfile.ReadError("it ends too early")


def table_entries(source: Source, column: str | None) -> Iterator[Entry]:
    """Yields the images of a table: its rows, or the files that it names."""
    for image in table_images(source, column):
        if isinstance(image, Source):
            yield Entry(image.path, image.file, source.file, fault=image.fault)
        else:
            yield Entry(image.path, source.file, source.file, image.row)


def readable(found: Iterable[Entry], column: str | None) -> Iterator[ReadableFile]:
    """Yields the files of entries. Rows of a table are read here, a few ahead; other files in `read`."""
    with Rows(column) as rows:
        for entry in found:
            if entry.fault:
                yield ImageFile(entry.path, entry.fault)
            elif entry.start is not None and entry.length is None:
                yield ReadFile(entry.path, rows.content(entry.file, entry.start))
            elif entry.start is None and not is_url(entry.file):
                yield LocalFile(entry.path, entry.file)
            else:
                yield StoredFile(entry)


class LocalFile(NamedTuple):
    """An image file on this machine, with another name in the results."""

    path: str
    file: str

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotScored: It is not one, cannot be read, or is too large.
        """
        return ImageFile(self.file).read()
