"""The tables of a store in SQLite: how they are made, opened and written."""

import logging
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from app.label_sets.definition_text import definition_text
from app.label_sets.old_folder import old_definitions, old_embeddings
from app.label_sets.store import KEPT_S, MAX_DELETED, SCHEMA, Embeddings, Stored, StoreError

FILE = "label-sets.sqlite3"
BUSY_S = 5.0  # how long a change waits for other processes
TABLES = (
    # One row. Deletions up to `forgotten` may be missing in label_sets.
    "CREATE TABLE store (id TEXT NOT NULL, revision INTEGER NOT NULL, forgotten INTEGER NOT NULL)",
    # The text NULL means deleted.
    "CREATE TABLE label_sets (name TEXT PRIMARY KEY, revision INTEGER NOT NULL, text TEXT)",
    "CREATE TABLE embeddings (encoder TEXT NOT NULL, texts TEXT NOT NULL, expires_s INTEGER NOT NULL, "
    "content BLOB NOT NULL, PRIMARY KEY (encoder, texts))",
    "CREATE INDEX embeddings_expiry ON embeddings (expires_s)",
)

log = logging.getLogger("app")


def connect(address: str) -> sqlite3.Connection:
    """Returns a connection to a file or a URI; transactions are explicit."""
    return sqlite3.connect(address, BUSY_S, isolation_level=None, check_same_thread=False, uri=True)


def open_file(folder: Path) -> sqlite3.Connection:
    """Opens the store's file in a folder. Makes it if there is none, with the sets of the old folder.

    Raises:
        StoreError: The file cannot be used.
        sqlite3.Error: It is not an SQLite file, or another process has locked it.
    """
    path = folder / FILE
    connection = connect(uri(path, "mode=rwc"))
    try:
        use_log(connection, path)
        with transaction(connection):
            if is_empty(connection, path):
                make_tables(connection, folder)
    except BaseException:
        connection.close()
        raise
    return connection


def use_log(connection: sqlite3.Connection, path: Path) -> None:
    """Switches the write-ahead log on. Raises StoreError if the file system has not what it needs."""
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreError(f"{path} is on a file system where SQLite cannot use its write-ahead log")
    connection.execute("PRAGMA synchronous = FULL")  # a change is on the disk before it is reported


def open_read_only(folder: Path) -> sqlite3.Connection:
    """Opens the store's file in a folder that cannot be written, or else the sets of the old folder, in memory.

    Raises:
        StoreError: The file cannot be used.
        sqlite3.Error: It is not an SQLite file.
    """
    path = folder / FILE
    if not path.is_file():
        connection = connect(":memory:")
        make_tables(connection, folder)
        return connection
    # Without a write-ahead log, SQLite reads a file in such a folder only with the option `immutable`.
    try:
        return open_existing(path, "mode=ro")
    except sqlite3.OperationalError:
        log_file = path.with_name(f"{FILE}-wal")
        if log_file.is_file() and log_file.stat().st_size:
            raise StoreError(
                f"{log_file} has changes that cannot be read in a read-only folder: start once with a writable one"
            ) from None
        return open_existing(path, "mode=ro&immutable=1")


def open_existing(path: Path, options: str) -> sqlite3.Connection:
    """Opens a file that has tables. Raises as `open_read_only`."""
    connection = connect(uri(path, options))
    try:
        is_empty(connection, path)
        connection.execute("SELECT id FROM store").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def uri(path: Path, options: str) -> str:
    """Returns SQLite's URI of a file."""
    return f"file:{quote(str(path))}?{options}"


def is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Returns whether a file has no tables yet.

    Raises:
        StoreError: A newer version has made them.
    """
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema > SCHEMA:
        raise StoreError(
            f"{path} has schema {schema}, and this version of the service reads schema {SCHEMA} only: use the newer "
            "version, or another data folder"
        )
    return bool(schema == 0)


def make_tables(connection: sqlite3.Connection, folder: Path) -> None:
    """Makes the tables, and imports the sets of the old folder, which stays."""
    for statement in (*TABLES, f"PRAGMA user_version = {SCHEMA}"):
        connection.execute(statement)
    connection.execute("INSERT INTO store VALUES (?, 0, 0)", [uuid.uuid4().hex])
    found = old_definitions(folder)
    for revision, (name, definition) in enumerate(found.items(), time.time_ns() // 1000):
        put(connection, name, Stored(revision, definition_text(definition)))
        for embeddings in old_embeddings(folder, definition):
            keep(connection, embeddings)
    if found:
        log.info("%d label sets were imported from %s, which is not used any more", len(found), folder / "label-sets")


@contextmanager
def transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """One transaction, which is undone if anything is raised. The kind DEFERRED is for reading."""
    connection.execute(f"BEGIN {kind}")
    try:
        yield connection
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def revision_of(connection: sqlite3.Connection, name: str) -> tuple[int, bool]:
    """Returns the revision of a set or of its deletion, or 0, and whether the set exists."""
    row = connection.execute("SELECT revision, text IS NOT NULL FROM label_sets WHERE name = ?", [name]).fetchone()
    return (row[0], bool(row[1])) if row else (0, False)


def put(connection: sqlite3.Connection, name: str, stored: Stored) -> None:
    """Stores a set or its deletion. Forgets the oldest deletions if there are too many."""
    connection.execute("INSERT OR REPLACE INTO label_sets VALUES (?, ?, ?)", [name, *stored])
    connection.execute("UPDATE store SET revision = max(revision, ?)", [stored.revision])
    query = "SELECT revision FROM label_sets WHERE text IS NULL ORDER BY revision DESC LIMIT 1 OFFSET ?"
    if oldest := connection.execute(query, [MAX_DELETED]).fetchone():
        connection.execute("DELETE FROM label_sets WHERE text IS NULL AND revision <= ?", oldest)
        connection.execute("UPDATE store SET forgotten = max(forgotten, ?)", oldest)


def keep(connection: sqlite3.Connection, embeddings: Embeddings) -> None:
    """Stores embeddings for `KEPT_S`."""
    row = [embeddings.encoder, embeddings.texts, int(time.time()) + KEPT_S, embeddings.content]
    connection.execute("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", row)
