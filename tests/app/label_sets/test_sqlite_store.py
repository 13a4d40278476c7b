"""The store in a file: what every store does, and what is special about a file."""

import asyncio
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from app.errors import StoreUnavailable
from app.label_sets.class_embeddings import embeddings_content
from app.label_sets.definition_text import read_definition
from app.label_sets.sqlite_store import SQLiteStore
from app.label_sets.sqlite_tables import FILE
from app.label_sets.store import LabelSetStore, StoreError
from tests.app.label_sets.killed import ANIMALS, PLANTS, PROCESSES, embeddings, write_forever
from tests.app.label_sets.store_contract import CAT, Opened, StoreContract

pytestmark = pytest.mark.anyio


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    stores = []

    async def open_store() -> LabelSetStore:
        stores.append(SQLiteStore(tmp_path))
        await stores[-1].open()
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


class TestSQLiteStore(StoreContract):
    @pytest.fixture(autouse=True)
    def data_dir(self, tmp_path: Path) -> None:
        self.path = tmp_path / FILE

    async def pass_time(self, seconds: float) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("UPDATE embeddings SET expires_s = expires_s - ?", [seconds])


async def test_a_change_of_another_process_is_known_at_once_and_until_it_is_loaded(opened):
    one, other = await opened(), await opened()
    await other.state()
    other.loaded()
    assert not other.changed()
    revision = await one.change("pets", CAT, 0)
    assert other.changed()
    assert (await other.state()).revision == revision
    assert other.changed()
    other.loaded()
    assert not other.changed()


async def test_the_file_is_removed_from_the_log_when_all_are_closed(opened, tmp_path):
    store = await opened()
    await store.change("pets", CAT, 0)
    assert (tmp_path / f"{FILE}-wal").exists()
    await store.close()
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.slow
async def test_a_locked_file_is_unavailable_for_the_time_of_the_lock(opened, tmp_path):
    store = await opened()
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert (await store.versions()).sets == {}
        with pytest.raises(StoreUnavailable) as raised:
            await store.change("pets", CAT, 0)
        assert "locked" in str(raised.value.__cause__)
        other.execute("ROLLBACK")
    await store.change("pets", CAT, 0)


async def test_a_file_of_a_newer_version_is_an_error_that_says_so(opened, tmp_path):
    await (await opened()).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match=r"sqlite3 has schema 2, and this version of the service reads schema 1 only"):
        await opened()


async def test_a_file_that_is_something_else_is_an_error(opened, tmp_path):
    (tmp_path / FILE).write_bytes(b"something else" * 100)
    with pytest.raises(StoreError, match=r"sqlite3: file is not a database"):
        await opened()


async def test_many_processes_may_make_the_store_at_once(tmp_path):
    stores = [SQLiteStore(tmp_path) for _ in range(8)]

    async def open_store(store: SQLiteStore) -> str:
        while True:
            try:
                await store.open()
                return (await store.state()).store
            except StoreUnavailable:  # as the start does
                await asyncio.sleep(0.01)

    ids = await asyncio.gather(*map(open_store, stores))
    assert len(set(ids)) == 1
    for store in stores:
        await store.close()


@pytest.mark.slow
async def test_a_kill_at_any_moment_leaves_the_old_or_the_new_set(tmp_path, caplog):
    chance = random.Random(0)
    found = []
    for _ in range(100):
        written, child_end = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=write_forever, args=(tmp_path, child_end))
        process.start()
        for _ in range(chance.randint(2, 4)):
            written.recv_bytes()
        time.sleep(chance.uniform(0, 0.01))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        store = SQLiteStore(tmp_path)
        await store.open()
        ((_, text),) = (await store.definitions(["zoo"])).values()
        definition = read_definition(text or "")
        assert definition in (ANIMALS, PLANTS)
        content = embeddings_content(embeddings(definition))
        assert await store.embeddings("encoder", definition.texts_digest) == content
        found.append(definition)
        await store.close()
    assert ANIMALS in found
    assert PLANTS in found
    assert caplog.records == []
    assert [path.name for path in tmp_path.iterdir()] == [FILE]
