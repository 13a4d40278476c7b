"""Image embeddings on disk, so that the same files are not decoded and computed again.

An embedding is found by the SHA-256 of its file and the encoder's `cache_key`, which changes with everything that the
embedding's bits depend on. SQLite makes it safe to interrupt a run, and to run two at a time.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

WAIT_S = 30  # for another process that writes
DIGESTS_AT_ONCE = 500  # SQLite accepts at least 999 in a query
FLOAT32 = np.dtype("<f4")


class CacheError(Exception):
    """The cache cannot be used. The message says what to do."""


class EmbeddingFileCache:
    """The embeddings of one encoder; a context manager.

    Args:
        folder: Where the caches of all encoders are. It is made if it does not exist.
        cache_key: The encoder's.
        embed_dim: E.

    Raises:
        CacheError: The folder or the file cannot be used; also raised by the methods.
    """

    def __init__(self, folder: Path, cache_key: str, embed_dim: int) -> None:
        self._path = folder.expanduser() / f"{cache_key}.sqlite"
        self._embed_dim = embed_dim
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, timeout=WAIT_S)
        except (OSError, sqlite3.Error) as error:
            raise self._error(error) from None
        try:
            with self._database:
                self._database.execute("CREATE TABLE IF NOT EXISTS images (sha256 TEXT PRIMARY KEY, row BLOB NOT NULL)")
        except sqlite3.Error as error:
            self._database.close()
            raise self._error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def get(self, digests: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Returns the known embeddings [E] by the SHA-256 of their files, in hex."""
        found: dict[str, NDArray[np.float32]] = {}
        try:
            for start in range(0, len(digests), DIGESTS_AT_ONCE):
                some = digests[start : start + DIGESTS_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT sha256, row FROM images WHERE sha256 IN ({marks})"  # noqa: S608 (only marks)
                found |= {digest: self._row(content) for digest, content in self._database.execute(query, some)}
        except (sqlite3.Error, ValueError) as error:
            raise self._error(error) from None
        return found

    def _row(self, content: bytes) -> NDArray[np.float32]:
        row = np.frombuffer(content, FLOAT32)
        if len(row) != self._embed_dim:
            raise ValueError("an embedding has another width")
        return row

    def put(self, embeddings: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Stores embeddings [E] with the SHA-256 of their files, in hex."""
        rows = ((digest, row.astype(FLOAT32).tobytes()) for digest, row in embeddings)
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO images VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> CacheError:
        return CacheError(
            f"the cache {self._path} cannot be used: {error}. Delete it, choose another folder with --cache, or use "
            "--no-cache"
        )
