"""What a job reads: folders, lists, tar files and tables, here or at a URL, always in the same order.

| input                  | images                                                                        |
|------------------------|-------------------------------------------------------------------------------|
| a folder               | all files below it; `.tar` and `.parquet` files are read as below             |
| `.txt`                 | one path or URL a line; a relative path begins at the list's folder           |
| `.tar` of webdataset   | its members with the suffix of an image                                       |
| `.parquet`             | a column of bytes, or of paths and URLs; see `tables`                         |
| any other file         | itself                                                                        |
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from app.batch import BatchMistake
from app.batch.files import files_below
from app.batch.storage import (
    FAULTS_OF_A_FILE,
    as_storage_error,
    file_system,
    is_url,
    local_path,
    opened_file,
    reason_of,
    version_of,
)

LIST, TAR, PARQUET = ".txt", ".tar", ".parquet"
SHARDS = (TAR, PARQUET)


class Source(NamedTuple):
    """A file that is an image, or that has several. `fault` says why it cannot be read."""

    path: str
    """As it was given, or below what was given."""
    file: str
    """The absolute path, or the URL."""
    fault: str = ""
    version: str = ""
    """Of a tar file or a table: what differs if it is replaced. "" for an image."""

    @property
    def is_shard(self) -> bool:
        """Whether it has several images."""
        return self.file.endswith(SHARDS)


def absolute(given: str) -> str:
    """Returns a URL, or the absolute path of a path on this machine."""
    return given if is_url(given) else os.path.abspath(local_path(given))


def sources(given: Sequence[str]) -> Iterator[Source]:
    """Yields the files of all inputs, in a fixed order.

    Raises:
        BatchMistake: There is no such input.
        BatchError: The storage fails.
    """
    for one in given:
        for source in url_sources(one) if is_url(one) else local_sources(local_path(one)):
            yield with_version(source) if source.is_shard and not source.fault else source


def with_version(source: Source) -> Source:
    """Returns the source of a tar file or a table with its version."""
    try:
        return source._replace(version=version_of(source.file))
    except OSError as error:
        return source._replace(fault=reason_of(error))


def local_sources(given: str) -> Iterator[Source]:
    """Yields the files of an input on this machine."""
    if os.path.isdir(given):
        for file in files_below(given):
            yield Source(file.path, os.path.abspath(file.path), file.fault)
    elif not os.path.isfile(given):
        raise BatchMistake(f"there is no file or folder {given}")
    elif given.endswith(LIST):
        yield from listed(given)
    else:
        yield Source(given, os.path.abspath(given))


def url_sources(given: str) -> Iterator[Source]:
    """Yields the files of an input at a URL."""
    fs, path = file_system(given)
    with as_storage_error(given):
        is_folder, exists = fs.isdir(path), fs.exists(path)
    if is_folder:
        for file in paths_below(fs, path):
            url = fs.unstrip_protocol(file)
            yield Source(url, url)
    elif not exists:
        raise BatchMistake(f"there is no file or folder {given}")
    elif given.endswith(LIST):
        yield from listed(given)
    else:
        yield Source(given, given)


def paths_below(fs: Any, folder: str) -> Iterator[str]:
    """Yields all files below a folder by name, except hidden ones. One folder's names are in memory at a time."""
    with as_storage_error(folder):
        entries = sorted(fs.ls(folder, detail=True), key=lambda entry: entry["name"])
    for entry in entries:
        path = entry["name"].rstrip("/")
        if path == folder.rstrip("/") or path.rpartition("/")[2].startswith("."):
            continue
        if entry["type"] == "directory":
            yield from paths_below(fs, path)
        elif not entry["name"].endswith("/"):
            yield path


def listed(file: str) -> Iterator[Source]:
    """Yields the files that a list names, one a line. Blank lines are skipped."""
    folder = file.rpartition("/")[0] if is_url(file) else os.path.dirname(file)
    try:
        with opened_file(file) as lines:
            for line in lines:
                # Names on this machine may be any bytes.
                name = os.fsdecode(line.strip(b"\r\n"))
                if name.strip():
                    yield located(name, folder)
    except FAULTS_OF_A_FILE as error:
        raise BatchMistake(f"{file}: {reason_of(error)}") from None


def located(name: str, folder: str) -> Source:
    """Returns the file that a list or a table in a folder names."""
    if is_url(name):
        return Source(name, name)
    name = local_path(name)
    if is_url(folder):
        return Source(f"{folder}/{name}", f"{folder}/{name}")
    path = os.path.join(folder, name)
    return Source(path, os.path.abspath(path))
