"""Reads files on this machine, or at any URL that fsspec opens, such as `s3://bucket/folder/image.png`.

What is wrong with one file is its reason to have no scores. If a storage cannot be reached, the job ends, and can be
resumed later.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from fsspec.core import url_to_fs

from app.batch import BatchError, BatchMistake
from app.batch.files import MAX_FILE_BYTES, NotScored

# What is wrong with one file. Any other error is one of the storage, and may be gone at the next attempt.
FAULTS_OF_A_FILE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def is_url(given: str) -> bool:
    """Returns whether a text is a URL, and not a path on this machine."""
    return "://" in given and not given.startswith("file://")


def local_path(given: str) -> str:
    """Returns a path on this machine, which may be given as a `file://` URL."""
    return given.removeprefix("file://")


@contextmanager
def as_storage_error(name: str, *others: type[Exception]) -> Iterator[None]:
    """Turns errors of a file system into a `BatchError`, except those of a single file, and those of `others`."""
    kept: tuple[type[Exception], ...] = (BatchError, NotScored, *FAULTS_OF_A_FILE, *others)
    try:
        yield
    except kept:
        raise
    except Exception as error:  # each client of a store has exceptions of its own
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise BatchError(f"{name}: {reason}") from error


def reason_of(error: OSError) -> str:
    """Returns an error in words. Some file systems raise Python's exceptions with the path as the only text."""
    kinds = {
        FileNotFoundError: errno.ENOENT,
        PermissionError: errno.EACCES,
        IsADirectoryError: errno.EISDIR,
        NotADirectoryError: errno.ENOTDIR,
    }
    number = error.errno or next((number for kind, number in kinds.items() if isinstance(error, kind)), None)
    return os.strerror(number) if number else str(error)


def file_system(url: str) -> tuple[Any, str]:
    """Returns a URL's file system, and the path in it.

    Raises:
        BatchMistake: Its package is not installed, or there is no file system of this name.
    """
    try:
        # A cached listing would grow without limit, and would not show the parts of another process.
        fs, path = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise BatchMistake(f"{url} cannot be opened: {error}") from None
    return fs, path


def read_file(file: str, start: int = 0, length: int | None = None) -> bytes:
    """Returns a file's bytes, or some of them.

    Raises:
        NotScored: The file does not exist, may not be read, or is too large.
        BatchError: The storage fails.
    """
    if length is not None and length > MAX_FILE_BYTES:
        raise NotScored(f"The file has {length:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
    count = MAX_FILE_BYTES + 1 if length is None else length
    try:
        if is_url(file):
            fs, path = file_system(file)
            with as_storage_error(file):
                content: bytes = fs.cat_file(path, start=start or None, end=start + count)
        else:
            with open(file, "rb") as opened:
                opened.seek(start)
                content = opened.read(count)
    except OSError as error:
        raise NotScored(reason_of(error)) from None
    if len(content) > MAX_FILE_BYTES:
        raise NotScored(f"The file has more than {MAX_FILE_BYTES:,} bytes, which are the most that are read.")
    return content


@contextmanager
def opened_file(file: str) -> Iterator[IO[bytes]]:
    """Yields an open file with `seek`.

    Raises:
        OSError: It cannot be opened.
        BatchError: The storage fails.
    """
    if not is_url(file):
        with open(file, "rb") as opened:
            yield opened
        return
    fs, path = file_system(file)
    with as_storage_error(file):
        opened = fs.open(path, "rb")
    with opened:
        yield opened


def version_of(file: str) -> str:
    """Returns what differs if a file is replaced: its size, and its time or its digest as the storage knows it.

    Raises:
        OSError: There is no such file.
        BatchError: The storage fails.
    """
    if not is_url(file):
        status = os.stat(file)
        return f"{status.st_size} {status.st_mtime_ns}"
    fs, path = file_system(file)
    with as_storage_error(file):
        info = fs.info(path)
    if info["type"] == "directory":
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file)
    return f"{info['size']} {info.get('ETag') or info.get('etag') or info.get('md5Hash') or info.get('mtime') or ''}"
