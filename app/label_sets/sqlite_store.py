"""A store in one SQLite file, `label-sets.sqlite3` in the data folder. Several processes of one machine may use it.

A change is one transaction with a write-ahead log, which is on the disk before the change is reported. If a process is
killed at any moment, the file has the old set or the new one.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import ParamSpec, TypeVar

from app.errors import StoreUnavailable
from app.inference.threads import ThreadPool
from app.label_sets.data_folder import write_fault
from app.label_sets.file_systems import check_local
from app.label_sets.sqlite_tables import (
    FILE,
    connect,
    keep,
    open_file,
    open_read_only,
    put,
    revision_of,
    transaction,
    uri,
)
from app.label_sets.store import (
    KEPT_S,
    MAX_LABEL_SETS,
    RELEASED_S,
    Conflict,
    Embeddings,
    State,
    Stored,
    StoreError,
    Versions,
    too_many_sets,
)
from app.settings import PREFIX

P = ParamSpec("P")
T = TypeVar("T")

DAY_S = 24 * 3600
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

log = logging.getLogger("app")


class SQLiteStore:
    """A `LabelSetStore` in a folder.

    Args:
        data_dir: The folder. It is created if it does not exist.
    """

    def __init__(self, data_dir: Path) -> None:
        self.fault: str | None = None
        self._folder = data_dir.expanduser()
        self._disk = ThreadPool(1, "disk")  # a slow disk delays only label sets
        self._connection: sqlite3.Connection | None = None
        self._watch: sqlite3.Connection | None = None  # used on the event loop
        self._seen = self._loaded = -1  # the version of the file at the last `state`, and the one that is loaded

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable
        return self._connection

    async def open(self) -> None:
        """Opens the file; makes it if there is none, with the sets of the old folder."""
        if self._connection is None:
            await self._run(self._open)

    def changed(self) -> bool:
        """Returns whether the file has changed. It takes microseconds, and waits for nobody."""
        return self._watch is not None and self._file_version() != self._loaded

    def loaded(self) -> None:
        """Remembers which version of the file is loaded."""
        self._loaded = self._seen

    async def wait(self, seconds: float) -> None:
        """Waits. `changed` finds changes sooner, when a label set is used."""
        await asyncio.sleep(seconds)

    async def state(self) -> State:
        """Returns the state."""
        self._seen = self._file_version()
        return await self._run(lambda: State(*self._db.execute("SELECT id, revision FROM store").fetchone()))

    async def versions(self) -> Versions:
        """Returns the revisions of all sets."""

        def read() -> Versions:
            with transaction(self._db, "DEFERRED") as db:
                rows = db.execute("SELECT name, revision, text IS NULL FROM label_sets").fetchall()
                (forgotten,) = db.execute("SELECT forgotten FROM store").fetchone()
            sets, deleted = ({name: number for name, number, gone in rows if gone == of} for of in (0, 1))
            return Versions(sets, deleted, forgotten)

        return await self._run(read)

    async def definitions(self, names: Collection[str]) -> dict[str, Stored]:
        """Returns the sets with these names that exist."""

        def read() -> dict[str, Stored]:
            query = "SELECT revision, text FROM label_sets WHERE name = ? AND text IS NOT NULL"
            found = {name: self._db.execute(query, [name]).fetchone() for name in names}
            return {name: Stored(*row) for name, row in found.items() if row}

        return await self._run(read)

    async def change(self, name: str, text: str | None, expected: int, embeddings: Embeddings | None = None) -> int:
        """Replaces a set in one transaction."""

        def write() -> int:
            with transaction(self._db) as db:
                current, found = revision_of(db, name)
                if (current if found else 0) != expected:
                    raise Conflict
                if text is not None and not found:
                    (count,) = db.execute("SELECT count(*) FROM label_sets WHERE text IS NOT NULL").fetchone()
                    if count >= MAX_LABEL_SETS:
                        raise too_many_sets()
                (last,) = db.execute("SELECT revision FROM store").fetchone()
                revision: int = max(last + 1, time.time_ns() // 1000)
                put(db, name, Stored(revision, text))
                if embeddings:
                    keep(db, embeddings)
                db.execute("DELETE FROM embeddings WHERE expires_s < ?", [time.time()])
            return revision

        return await self._run(write)

    async def put_back(self, name: str, stored: Stored) -> None:
        """Stores an older version of a set, unless there is the same or a newer one."""

        def write() -> None:
            with transaction(self._db) as db:
                if revision_of(db, name)[0] < stored.revision:
                    put(db, name, stored)

        await self._run(write)

    async def embeddings(self, encoder: str, texts: str) -> bytes | None:
        """Returns embeddings."""

        def read() -> bytes | None:
            query = "SELECT content FROM embeddings WHERE encoder = ? AND texts = ?"
            row = self._db.execute(query, [encoder, texts]).fetchone()
            return row[0] if row else None

        return await self._run(read)

    async def keep(self, embeddings: Embeddings) -> None:
        """Stores embeddings."""
        if not self.fault:
            await self._run(lambda: keep(self._db, embeddings))

    async def renew(self, encoder: str, texts: Collection[str]) -> set[str]:
        """Keeps embeddings, if a day has passed since the last time; a start that changes nothing writes nothing."""

        def write() -> set[str]:
            now = time.time()
            query = "SELECT texts, expires_s FROM embeddings WHERE encoder = ?"
            expiry = dict(self._db.execute(query, [encoder]).fetchall())
            old = [each for each in texts if each in expiry and expiry[each] < now + KEPT_S - DAY_S]
            if old and not self.fault:
                with transaction(self._db) as db:
                    update = "UPDATE embeddings SET expires_s = ? WHERE encoder = ? AND texts = ?"
                    db.executemany(update, [(int(now + KEPT_S), encoder, each) for each in old])
            return set(texts) - expiry.keys()

        return await self._run(write)

    async def release(self, encoder: str, texts: str) -> None:
        """Lets embeddings expire soon."""
        update = "UPDATE embeddings SET expires_s = ? WHERE encoder = ? AND texts = ?"
        await self._run(lambda: self._db.execute(update, [int(time.time()) + RELEASED_S, encoder, texts]))

    async def close(self) -> None:
        """Closes the file after the changes in progress."""
        for connection in filter(None, (self._watch, self._connection)):
            await self._disk.run(connection.close)
        self._watch = self._connection = None
        self._disk.close()

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in the thread, with SQLite's errors as the store's."""
        try:
            return await self._disk.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in BUSY:
                raise StoreUnavailable from error
            raise StoreError(f"{self._folder / FILE}: {error}") from error

    def _file_version(self) -> int:
        """Returns a number that differs after every change of the file, or the last one if it cannot be read now."""
        try:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone() if self._watch else (-1,)
        except sqlite3.Error:
            return self._loaded
        return int(version)

    def _open(self) -> None:
        """Opens or makes the file."""
        check_local(self._folder)
        self.fault = write_fault(self._folder)
        if self.fault:
            log.warning("%sDATA_DIR cannot be written, so changes of label sets are refused: %s", PREFIX, self.fault)
            self._connection = open_read_only(self._folder)
        else:
            connection = open_file(self._folder)
            self._watch = connect(uri(self._folder / FILE, "mode=ro"))
            self._connection = connection
