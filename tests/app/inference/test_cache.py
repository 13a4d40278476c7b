import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from app.inference.batcher import BatchFailed, QueueFull, Result
from app.inference.cache import EmbeddingCache

pytestmark = pytest.mark.anyio

OVERHEAD_BYTES = 100
ENTRY_BYTES = 1 + 2 * 4 + OVERHEAD_BYTES  # a key of one byte, an embedding of two float32


class Count:
    """Counts events."""

    total = 0

    def inc(self, amount: float = 1) -> None:
        self.total += int(amount)


class Computer:
    """A cache and its computations, whose futures a test resolves. The embedding of n is [n, n + 0.5]."""

    def __init__(self, automatic: bool = True, entries: int = 10) -> None:
        self.hits, self.misses, self.evictions = Count(), Count(), Count()
        self.automatic = automatic
        self.refusing = False
        self.cache: EmbeddingCache[Result] = EmbeddingCache(entries * ENTRY_BYTES, OVERHEAD_BYTES, self)
        self.computed: list[int] = []
        self.futures: dict[int, asyncio.Future] = {}

    async def get(self, *values: int) -> list[list[float]]:
        """Returns the embeddings from the cache."""
        found = await self.cache.get({bytes([value]): value for value in values}, self.compute)
        return [found.results[bytes([value])].row.tolist() for value in values]

    async def caller(self, *values: int) -> asyncio.Task:
        """Returns a task that waits for these embeddings."""
        task = asyncio.create_task(self.get(*values))
        await asyncio.sleep(0)
        return task

    def compute(self, values: Sequence[int]) -> list[asyncio.Future]:
        if self.refusing:
            raise QueueFull
        self.computed += values
        self.futures |= {value: asyncio.get_running_loop().create_future() for value in values}
        if self.automatic:
            self.resolve(*values)
        return [self.futures[value] for value in values]

    def resolve(self, *values: int) -> None:
        for value in values:
            self.futures[value].set_result(Result(np.array(embedding(value), np.float32), 0.25, 0.5))


def embedding(value: int) -> list[float]:
    return [value, value + 0.5]


async def test_cached_embeddings_are_not_computed_again():
    computer = Computer()
    for values in ((1, 2), (2, 1), (2, 3)):
        assert await computer.get(*values) == [embedding(value) for value in values]
    assert computer.computed == [1, 2, 3]


async def test_concurrent_callers_share_one_computation():
    computer = Computer(automatic=False)
    one, two = await computer.caller(1, 2), await computer.caller(2, 3)
    assert computer.computed == [1, 2, 3]
    computer.resolve(1, 2, 3)
    assert await one == [embedding(1), embedding(2)]
    assert await two == [embedding(2), embedding(3)]


async def test_the_least_recently_used_entry_is_evicted_when_the_cache_is_full():
    computer = Computer(entries=2)
    for value in (1, 2, 1, 3):  # 3 evicts 2, because 1 was used more recently
        await computer.get(value)
    await computer.get(1)
    assert computer.computed == [1, 2, 3]
    await computer.get(2)
    assert computer.computed == [1, 2, 3, 2]


@pytest.mark.parametrize("entries", [0, 3])
async def test_a_request_larger_than_the_cache_is_answered(entries):
    computer = Computer(entries=entries)
    values = list(range(50))
    assert await computer.get(*values) == [embedding(value) for value in values]


async def test_a_failure_is_raised_to_all_waiting_callers_and_is_not_cached():
    computer = Computer(automatic=False)
    callers = [await computer.caller(1), await computer.caller(1, 2)]
    computer.resolve(2)
    computer.futures[1].set_exception(BatchFailed())
    for caller in callers:
        with pytest.raises(BatchFailed):
            await caller
    computer.automatic = True
    assert await computer.get(1, 2) == [embedding(1), embedding(2)]
    assert computer.computed == [1, 2, 1]


async def test_an_embedding_that_is_not_a_number_is_not_cached():
    computer = Computer(automatic=False)
    caller = await computer.caller(1)
    computer.futures[1].set_result(Result(np.full(2, np.nan, np.float32), 0, 0))
    await caller
    computer.automatic = True
    assert await computer.get(1) == [embedding(1)]


async def test_a_refused_computation_can_be_tried_again():
    computer = Computer()
    computer.refusing = True
    with pytest.raises(QueueFull):
        await computer.get(1)
    computer.refusing = False
    assert await computer.get(1) == [embedding(1)]


async def test_a_computation_is_cancelled_with_its_last_caller():
    computer = Computer(automatic=False)
    one, two = await computer.caller(1), await computer.caller(1)
    one.cancel()
    await asyncio.wait([one])
    assert not computer.futures[1].cancelled()
    two.cancel()
    await asyncio.wait([two])
    assert computer.futures[1].cancelled()


async def test_a_cancelled_caller_does_not_cancel_the_result_of_others():
    computer = Computer(automatic=False)
    cancelled, waiting = await computer.caller(1), await computer.caller(1)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    computer.resolve(1)
    assert await waiting == [embedding(1)]


async def test_the_key_of_a_cancelled_computation_is_computed_again():
    computer = Computer(automatic=False)
    cancelled = await computer.caller(1)
    cancelled.cancel()
    next_caller = await computer.caller(1)  # in the same iteration of the event loop as the cancellation
    computer.resolve(1)
    assert await next_caller == [embedding(1)]
    assert cancelled.cancelled()
    assert computer.computed == [1, 1]


async def test_the_result_of_a_computation_that_ignored_its_cancellation_is_not_cached():
    computer = Computer()
    never = asyncio.Event()

    async def ignore_cancellation() -> Result:
        try:
            await never.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return Result(np.zeros(2, np.float32), 0, 0)

    tasks: list[asyncio.Task] = []

    def compute(_: Sequence[int]) -> list[asyncio.Task]:
        tasks.append(asyncio.create_task(ignore_cancellation()))
        return tasks

    cancelled = asyncio.create_task(computer.cache.get({b"1": 1}, compute))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled, *tasks])
    await asyncio.sleep(0)
    assert computer.cache.bytes == 0


async def test_a_computed_embedding_is_cached_although_its_caller_was_cancelled():
    computer = Computer(automatic=False)
    caller = await computer.caller(1, 2)
    computer.resolve(1)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert await computer.get(1) == [embedding(1)]
    assert computer.computed == [1, 2]


async def test_hits_and_misses_are_counted():
    computer = Computer()
    found = [await computer.cache.get(dict.fromkeys(keys, 1), computer.compute) for keys in ([b"1"], [b"2", b"1"])]
    assert [(one.hits, one.misses) for one in found] == [(0, 1), (1, 1)]
    assert (computer.hits.total, computer.misses.total) == (1, 2)


async def test_a_cached_result_took_no_time():
    computer = Computer()
    found = [(await computer.cache.get({b"1": 1}, computer.compute)).results[b"1"] for _ in range(2)]
    assert [(result.queue_s, result.compute_s) for result in found] == [(0.25, 0.5), (0, 0)]


async def test_evictions_are_counted():
    computer = Computer(entries=2)
    for value in (1, 2, 3, 4):
        await computer.get(value)
    assert computer.evictions.total == 2
    assert computer.cache.bytes == 2 * ENTRY_BYTES


async def test_a_cache_of_0_bytes_keeps_and_evicts_nothing():
    computer = Computer(entries=0)
    for _ in range(2):
        await computer.get(1)
    assert (computer.misses.total, computer.evictions.total, computer.cache.bytes) == (2, 0, 0)
