"""What follows the store, with a store that answers, fails or hangs when the test says so."""

import asyncio
import logging

import pytest

from app.errors import StoreUnavailable
from app.label_sets.follower import Follower, cause_of
from app.label_sets.replica import Replica
from app.label_sets.sqlite_store import SQLiteStore
from app.label_sets.store import State, StoreError
from tests.app.label_sets.store_contract import CAT

pytestmark = pytest.mark.anyio


class Controlled(SQLiteStore):
    """A store that fails or hangs. Counts the calls of `state`."""

    error: Exception | None = None
    states = 0

    def __init__(self, data_dir) -> None:
        super().__init__(data_dir)
        self.answers = asyncio.Event()
        self.answers.set()

    async def state(self) -> State:
        self.states += 1
        await self.answers.wait()
        if self.error:
            raise self.error
        return await super().state()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(0.005)


class Unloading(Replica):
    """A copy that takes revisions and loads nothing, since it has no encoder."""

    async def refresh(self, *, is_start: bool = False) -> None:
        self.seen = await self._store.state()
        self._store.loaded()

    async def renew(self) -> None:
        pass

    async def release(self) -> None:
        pass


@pytest.fixture
async def store(tmp_path):
    made = Controlled(tmp_path)
    await made.open()
    yield made
    made.answers.set()
    await made.close()


@pytest.fixture
async def follower(store):
    failures: list[int] = []
    made = Follower(Unloading(store, None, "key", 2), store, lambda: failures.append(1))
    made.failures = failures
    yield made
    await made.close()


async def test_callers_share_a_refresh_that_begins_after_their_call(follower, store):
    store.answers.clear()
    first = asyncio.create_task(follower.refresh())
    while not store.states:
        await asyncio.sleep(0)
    others = [asyncio.create_task(follower.refresh()) for _ in range(20)]
    await asyncio.sleep(0.01)
    assert store.states == 1
    store.answers.set()
    await asyncio.gather(first, *others)
    assert store.states == 2


async def test_a_cancelled_caller_does_not_stop_the_refresh_of_the_others(follower, store):
    store.answers.clear()
    callers = [asyncio.create_task(follower.refresh()) for _ in range(2)]
    while not store.states:
        await asyncio.sleep(0)
    callers[0].cancel()
    store.answers.set()
    await callers[1]
    assert callers[0].cancelled()


async def test_a_failure_is_raised_counted_and_logged_once_and_the_return_too(follower, store, caplog):
    follower.start()
    while not store.states:
        await asyncio.sleep(0)
    with caplog.at_level(logging.INFO, "app"):
        store.error = StoreUnavailable()
        store.error.__cause__ = ConnectionRefusedError("nobody listens")
        with pytest.raises(StoreUnavailable):
            await follower.refresh()
        while len(follower.failures) < 5:
            await asyncio.sleep(0.005)
        assert not follower.up
        store.error = None
        while not follower.up:
            await asyncio.sleep(0.005)
    assert [record.message for record in caplog.records] == [
        "the store of label sets does not answer: nobody listens",
        "the store of label sets answers again",
    ]


async def test_an_unexpected_error_does_not_end_the_following(follower, store, caplog):
    store.error = RuntimeError("a fault")
    follower.start()
    while "cannot be followed" not in caplog.text:
        await asyncio.sleep(0.005)
    assert not follower.up
    store.error = None
    while not follower.up:
        await asyncio.sleep(0.005)


async def test_a_reader_does_not_wait_for_a_store_that_hangs_or_fails(follower, store, tmp_path):
    await follower.refresh()
    other = SQLiteStore(tmp_path)
    await other.open()
    await other.change("pets", CAT, 0)
    await other.close()
    store.answers.clear()
    await follower.fresh()  # returns, although the store does not answer
    store.answers.set()
    store.error = StoreError("broken")
    await follower.fresh()
    store.error = None
    await follower.fresh()
    assert follower.replica.seen.revision > 0


def test_the_cause_of_a_failure_is_named():
    error = StoreUnavailable()
    assert cause_of(error) == error.detail
    error.__cause__ = TimeoutError()
    assert cause_of(error) == "TimeoutError"
