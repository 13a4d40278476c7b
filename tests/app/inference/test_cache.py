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
    """A cache before futures that a test resolves; the embedding of n is [n, n + 0.5]."""

    def __init__(self, automatic: bool = True, entries: int = 10) -> None:
        self.hits, self.misses, self.evictions = Count(), Count(), Count()
        self.automatic = automatic
        self.refusing = False
        self.cache: EmbeddingCache[Result] = EmbeddingCache(entries * ENTRY_BYTES, OVERHEAD_BYTES, self)
        self.asked: list[int] = []
        self.futures: dict[int, asyncio.Future] = {}

    async def get(self, *values: int) -> list[list[float]]:
        """Returns the embeddings that the cache gives."""
        found = await self.cache.get({bytes([value]): value for value in values}, self.compute)
        return [found.results[bytes([value])].row.tolist() for value in values]

    async def caller(self, *values: int) -> asyncio.Task:
        """Returns one who waits."""
        task = asyncio.create_task(self.get(*values))
        await asyncio.sleep(0)
        return task

    def compute(self, values: Sequence[int]) -> list[asyncio.Future]:
        if self.refusing:
            raise QueueFull
        self.asked += values
        self.futures |= {value: asyncio.get_running_loop().create_future() for value in values}
        if self.automatic:
            self.resolve(*values)
        return [self.futures[value] for value in values]

    def resolve(self, *values: int) -> None:
        for value in values:
            self.futures[value].set_result(Result(np.array(embedding(value), np.float32), 0.25, 0.5))


def embedding(value: int) -> list[float]:
    return [value, value + 0.5]


async def test_what_is_known_is_not_computed_again():
    computer = Computer()
    for values in ((1, 2), (2, 1), (2, 3)):
        assert await computer.get(*values) == [embedding(value) for value in values]
    assert computer.asked == [1, 2, 3]


async def test_concurrent_callers_share_one_computation():
    computer = Computer(automatic=False)
    one, two = await computer.caller(1, 2), await computer.caller(2, 3)
    assert computer.asked == [1, 2, 3]
    computer.resolve(1, 2, 3)
    assert await one == [embedding(1), embedding(2)]
    assert await two == [embedding(2), embedding(3)]


async def test_the_one_used_longest_ago_leaves_when_the_bytes_are_full():
    computer = Computer(entries=2)
    for value in (1, 2, 1, 3):  # 3 drives out 2, for 1 was used after it
        await computer.get(value)
    await computer.get(1)
    assert computer.asked == [1, 2, 3]
    await computer.get(2)
    assert computer.asked == [1, 2, 3, 2]


@pytest.mark.parametrize("entries", [0, 3])
async def test_a_request_larger_than_the_cache_is_answered(entries):
    computer = Computer(entries=entries)
    values = list(range(50))
    assert await computer.get(*values) == [embedding(value) for value in values]


async def test_a_failure_reaches_all_who_waited_and_is_not_remembered():
    computer = Computer(automatic=False)
    callers = [await computer.caller(1), await computer.caller(1, 2)]
    computer.resolve(2)
    computer.futures[1].set_exception(BatchFailed())
    for caller in callers:
        with pytest.raises(BatchFailed):
            await caller
    computer.automatic = True
    assert await computer.get(1, 2) == [embedding(1), embedding(2)]
    assert computer.asked == [1, 2, 1]


async def test_what_is_no_number_is_not_remembered():
    computer = Computer(automatic=False)
    caller = await computer.caller(1)
    computer.futures[1].set_result(Result(np.full(2, np.nan, np.float32), 0, 0))
    await caller
    computer.automatic = True
    assert await computer.get(1) == [embedding(1)]


async def test_a_refusal_leaves_nothing_behind():
    computer = Computer()
    computer.refusing = True
    with pytest.raises(QueueFull):
        await computer.get(1)
    computer.refusing = False
    assert await computer.get(1) == [embedding(1)]


async def test_the_last_caller_who_leaves_ends_the_computation():
    computer = Computer(automatic=False)
    one, two = await computer.caller(1), await computer.caller(1)
    one.cancel()
    await asyncio.wait([one])
    assert not computer.futures[1].cancelled()
    two.cancel()
    await asyncio.wait([two])
    assert computer.futures[1].cancelled()


async def test_a_caller_who_leaves_does_not_take_the_others_answer():
    computer = Computer(automatic=False)
    leaves, stays = await computer.caller(1), await computer.caller(1)
    leaves.cancel()
    await asyncio.wait([leaves])
    computer.resolve(1)
    assert await stays == [embedding(1)]


async def test_a_cancelled_computation_does_not_poison_its_key():
    computer = Computer(automatic=False)
    leaves = await computer.caller(1)
    leaves.cancel()
    next_caller = await computer.caller(1)  # asks in the same turn of the loop as the cancellation
    computer.resolve(1)
    assert await next_caller == [embedding(1)]
    assert leaves.cancelled()
    assert computer.asked == [1, 1]


async def test_a_computation_that_ends_after_all_have_left_it_is_not_counted_beside_the_next():
    computer = Computer()
    stubborn = asyncio.Event()

    async def goes_on() -> Result:
        try:
            await stubborn.wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return Result(np.zeros(2, np.float32), 0, 0)

    tasks: list[asyncio.Task] = []

    def compute(_: Sequence[int]) -> list[asyncio.Task]:
        tasks.append(asyncio.create_task(goes_on()))
        return tasks

    leaves = asyncio.create_task(computer.cache.get({b"1": 1}, compute))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.wait([leaves, *tasks])
    await asyncio.sleep(0)
    assert computer.cache.bytes == 0


async def test_what_was_computed_is_kept_though_its_caller_left():
    computer = Computer(automatic=False)
    caller = await computer.caller(1, 2)
    computer.resolve(1)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert await computer.get(1) == [embedding(1)]
    assert computer.asked == [1, 2]


async def test_it_is_told_how_many_were_known():
    computer = Computer()
    found = [await computer.cache.get(dict.fromkeys(keys, 1), computer.compute) for keys in ([b"1"], [b"2", b"1"])]
    assert [(one.hits, one.misses) for one in found] == [(0, 1), (1, 1)]
    assert (computer.hits.total, computer.misses.total) == (1, 2)


async def test_what_is_known_took_no_time():
    computer = Computer()
    found = [(await computer.cache.get({b"1": 1}, computer.compute)).results[b"1"] for _ in range(2)]
    assert [(result.queue_s, result.compute_s) for result in found] == [(0.25, 0.5), (0, 0)]


async def test_what_is_forgotten_is_counted():
    computer = Computer(entries=2)
    for value in (1, 2, 3, 4):
        await computer.get(value)
    assert computer.evictions.total == 2
    assert computer.cache.bytes == 2 * ENTRY_BYTES


async def test_a_cache_of_no_bytes_forgets_nothing_since_it_keeps_nothing():
    computer = Computer(entries=0)
    for _ in range(2):
        await computer.get(1)
    assert (computer.misses.total, computer.evictions.total, computer.cache.bytes) == (2, 0, 0)
