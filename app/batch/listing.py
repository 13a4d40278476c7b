"""The stored list of a job's images, in chunks. A chunk becomes one part of the result.

The list is made once, by the first run. Every run after it computes what is listed there, and a worker on another
machine reads only the chunks that it computes. It is written and read a few thousand images at a time.
"""

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from itertools import groupby, zip_longest
from typing import Any, NamedTuple

from app.batch import BatchError, BatchMistake
from app.batch.ahead import batches
from app.batch.entries import Entry, entries
from app.batch.inputs import Source, sources
from app.batch.output import Folder
from app.observability.logs import printable

JOB_FOLDER = "_job"  # readers of a folder of .parquet files skip names that begin with _
CHUNKS_PER_FILE = 50


class Listing(NamedTuple):
    """What is stored about a list of images."""

    id: str
    chunk_size: int
    num_images: int
    num_sources: int
    digest: str
    """The SHA-256 of all sources, in hex: their paths, and the versions of tar files and tables."""

    @property
    def num_chunks(self) -> int:
        """The number of chunks, and of parts of the result."""
        return -(-self.num_images // self.chunk_size)

    def size_of(self, chunk: int) -> int:
        """Returns how many images a chunk has."""
        return min(self.chunk_size, self.num_images - chunk * self.chunk_size)


class Counted:
    """Passes sources on, and computes their digest and their number."""

    def __init__(self, found: Iterable[Source]) -> None:
        self._found = found
        self._digest = hashlib.sha256()
        self.count = 0

    def __iter__(self) -> Iterator[Source]:
        for source in self._found:
            self._digest.update(os.fsencode(f"{source.file}\0{source.version}\n"))
            self.count += 1
            yield source

    @property
    def digest(self) -> str:
        """The SHA-256 of the sources so far, in hex."""
        return self._digest.hexdigest()


def write_listing(folder: Folder, found: Iterable[Source], column: str | None, chunk_size: int) -> Listing:
    """Stores the list of the images in all sources.

    Raises:
        BatchMistake: There is none.
        BatchError: The storage fails.
    """
    listing_id, counted, num_images = uuid.uuid4().hex, Counted(found), 0
    images = (entry for source in counted for entry in entries(source, column))
    for number, chunks in enumerate(batches(batches(images, chunk_size), CHUNKS_PER_FILE)):
        folder.write(listing_file(listing_id, number), as_parquet(chunks))
        num_images += sum(map(len, chunks))
    if not num_images:
        raise BatchMistake("there are no files in the input")
    return Listing(listing_id, chunk_size, num_images, counted.count, counted.digest)


def listing_file(listing_id: str, number: int) -> str:
    """Returns the name of a file of a list, counted from 0."""
    return f"{JOB_FOLDER}/{listing_id}/{number:06}.parquet"


def as_parquet(chunks: list[list[Entry]]) -> bytes:
    """Returns a file with a group of rows for each chunk."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    schema = pyarrow.schema(
        {
            "path": pyarrow.string(),
            "file": pyarrow.binary(),  # a name may not be UTF-8
            "source": pyarrow.binary(),
            "start": pyarrow.int64(),
            "length": pyarrow.int64(),
            "fault": pyarrow.string(),
            "version": pyarrow.string(),
        }
    )
    content = BytesIO()
    with ParquetWriter(content, schema, compression="zstd") as writer:
        for chunk in chunks:
            paths, files, sources_, *rest = zip(*chunk, strict=True)
            columns = [
                list(map(printable, paths)),
                *(list(map(os.fsencode, names)) for names in (files, sources_)),
                *rest,
            ]
            arrays = [pyarrow.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema), row_group_size=len(chunk))
    return content.getvalue()


class StoredListing:
    """Reads the chunks of a stored list. The file that was used last stays in memory."""

    def __init__(self, folder: Folder, listing: Listing) -> None:
        self._folder = folder
        self._listing = listing
        self._number: int | None = None
        self._file: Any = None

    def chunk(self, index: int) -> list[Entry]:
        """Returns the images of a chunk.

        Raises:
            BatchError: The storage fails, or the list is gone.
        """
        from pyarrow.parquet import ParquetFile

        number, group = divmod(index, CHUNKS_PER_FILE)
        if number != self._number:
            name = listing_file(self._listing.id, number)
            content = self._folder.read(name)
            if content is None:
                raise BatchError(f"{self._folder.name}/{name} is gone: it has the list of the job's images")
            self._file, self._number = ParquetFile(BytesIO(content)), number
        columns = [column.to_pylist() for column in self._file.read_row_group(group).columns]
        columns[1:3] = [list(map(os.fsdecode, names)) for names in columns[1:3]]
        return [Entry(*row) for row in zip(*columns, strict=True)]

    def sources(self) -> Iterator[tuple[str, str]]:
        """Yields the path and the version of every source, in order."""
        found = (entry for index in range(self._listing.num_chunks) for entry in self.chunk(index))
        for key, same in groupby(found, key=lambda entry: (entry.source, entry.version)):
            yield from [key] if key[1] else (key for _ in same)


def check_unchanged(folder: Folder, listing: Listing, given: Sequence[str]) -> None:
    """Compares the sources of today with those of the list: images by name, tar files and tables also by version.

    Raises:
        BatchMistake: They differ. The message names the first difference.
        BatchError: The storage fails.
    """
    counted = Counted(sources(given))
    for _ in counted:
        pass
    if counted.digest == listing.digest:
        return
    before = StoredListing(folder, listing).sources()
    pairs = zip_longest(before, sources(given))
    different = (described(old, new) for old, new in pairs if not new or old != (new.file, new.version))
    raise BatchMistake(
        f"the input has changed since the job was begun: {next(different, 'it changes at this moment')}. Name another "
        "--out for a job over the files of today, or use --as-listed to finish the job over the files of then"
    )


def described(old: tuple[str, str] | None, new: Source | None) -> str:
    """Returns a difference between two lists of sources in words."""
    if new is None:
        return f"{printable(old[0] if old else '')} is not there any more"
    if old is None:
        return f"{printable(new.file)} is new"
    if old[0] == new.file:
        return f"{printable(new.file)} has been replaced"
    return f"the first different file is {printable(new.file)}, and was {printable(old[0])}"
