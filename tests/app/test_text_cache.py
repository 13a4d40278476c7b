import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from app.batching import BatchFailed, QueueFull, Result
from app.text_cache import TextCache, entry_bytes

pytestmark = pytest.mark.anyio

ENTRY_BYTES = entry_bytes(np.zeros(4, np.int32).tobytes(), np.zeros(2, np.float32))


class Computer:
    """Gives futures that a test resolves; the embedding of [n, n, n, n] is [n, n + 0.5]."""

    def __init__(self, automatic: bool = True) -> None:
        self.automatic = automatic
        self.asked: list[int] = []
        self.futures: dict[int, asyncio.Future] = {}

    def __call__(self, rows: Sequence[np.ndarray]) -> list[asyncio.Future]:
        futures = [asyncio.get_running_loop().create_future() for _ in rows]
        for row, future in zip(rows, futures, strict=True):
            self.asked.append(int(row[0]))
            self.futures[int(row[0])] = future
            if self.automatic:
                self.resolve(int(row[0]))
        return futures

    def resolve(self, *values: int) -> None:
        for value in values:
            self.futures[value].set_result(Result(embedding(value), 0, 0))


def embedding(value: int) -> np.ndarray:
    return np.array([value, value + 0.5], np.float32)


def ids(*values: int) -> np.ndarray:
    return np.repeat(np.array(values, np.int32)[:, None], 4, axis=1)


async def started(cache: TextCache, *values: int) -> asyncio.Task:
    """Returns a caller that waits."""
    task = asyncio.create_task(cache.get(ids(*values)))
    await asyncio.sleep(0)
    return task


async def test_embeddings_come_in_the_order_of_the_rows():
    cache = TextCache(Computer(), 10 * ENTRY_BYTES)
    assert ((await cache.get(ids(3, 1, 2))).embeddings == [embedding(3), embedding(1), embedding(2)]).all()
    assert ((await cache.get(ids(2, 9, 3))).embeddings == [embedding(2), embedding(9), embedding(3)]).all()


async def test_a_known_text_is_not_computed_again():
    computer = Computer()
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    for values in ((1, 2), (2, 1), (2, 3)):
        await cache.get(ids(*values))
    assert computer.asked == [1, 2, 3]


async def test_equal_rows_are_computed_once():
    computer = Computer()
    assert ((await TextCache(computer, 10 * ENTRY_BYTES).get(ids(7, 7, 7))).embeddings == [embedding(7)] * 3).all()
    assert computer.asked == [7]


async def test_concurrent_callers_share_one_computation():
    computer = Computer(automatic=False)
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    one, two = await started(cache, 1, 2), await started(cache, 2, 3)
    assert computer.asked == [1, 2, 3]
    computer.resolve(1, 2, 3)
    assert ((await one).embeddings == [embedding(1), embedding(2)]).all()
    assert ((await two).embeddings == [embedding(2), embedding(3)]).all()


async def test_the_one_used_longest_ago_leaves_when_the_bytes_are_full():
    computer = Computer()
    cache = TextCache(computer, 2 * ENTRY_BYTES)
    for value in (1, 2, 1, 3):  # 3 drives out 2, for 1 was used after it
        await cache.get(ids(value))
    await cache.get(ids(1))
    assert computer.asked == [1, 2, 3]
    await cache.get(ids(2))
    assert computer.asked == [1, 2, 3, 2]


@pytest.mark.parametrize("max_bytes", [0, 3 * ENTRY_BYTES])
async def test_a_request_larger_than_the_cache_is_answered(max_bytes):
    cache = TextCache(Computer(), max_bytes)
    values = list(range(50))
    assert ((await cache.get(ids(*values))).embeddings == [embedding(value) for value in values]).all()


async def test_a_failure_reaches_all_who_waited_and_is_not_remembered():
    computer = Computer(automatic=False)
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    callers = [await started(cache, 1), await started(cache, 1, 2)]
    computer.resolve(2)
    computer.futures[1].set_exception(BatchFailed())
    for caller in callers:
        with pytest.raises(BatchFailed):
            await caller
    computer.automatic = True
    assert ((await cache.get(ids(1, 2))).embeddings == [embedding(1), embedding(2)]).all()
    assert computer.asked == [1, 2, 1]


async def test_a_refusal_leaves_nothing_behind():
    computer = Computer()
    refusing = True

    def compute(rows: Sequence[np.ndarray]) -> list[asyncio.Future]:
        if refusing:
            raise QueueFull
        return computer(rows)

    cache = TextCache(compute, 10 * ENTRY_BYTES)
    with pytest.raises(QueueFull):
        await cache.get(ids(1))
    refusing = False
    assert ((await cache.get(ids(1))).embeddings == [embedding(1)]).all()


async def test_the_last_caller_who_leaves_ends_the_computation():
    computer = Computer(automatic=False)
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    one, two = await started(cache, 1), await started(cache, 1)
    one.cancel()
    await asyncio.wait([one])
    assert not computer.futures[1].cancelled()
    two.cancel()
    await asyncio.wait([two])
    assert computer.futures[1].cancelled()


async def test_a_caller_who_leaves_does_not_take_the_others_answer():
    computer = Computer(automatic=False)
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    leaves, stays = await started(cache, 1), await started(cache, 1)
    leaves.cancel()
    await asyncio.wait([leaves])
    computer.resolve(1)
    assert ((await stays).embeddings == [embedding(1)]).all()


async def test_a_cancelled_computation_does_not_poison_its_key():
    computer = Computer(automatic=False)
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    leaves = await started(cache, 1)
    leaves.cancel()
    next_caller = await started(cache, 1)  # asks in the same turn of the loop as the cancellation
    computer.resolve(1)
    assert ((await next_caller).embeddings == [embedding(1)]).all()
    assert leaves.cancelled()
    assert computer.asked == [1, 1]


async def test_an_answered_text_is_kept_though_its_caller_left():
    computer = Computer(automatic=False)
    cache = TextCache(computer, 10 * ENTRY_BYTES)
    caller = await started(cache, 1, 2)
    computer.resolve(1)
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert ((await cache.get(ids(1))).embeddings == [embedding(1)]).all()
    assert computer.asked == [1, 2]


async def test_it_is_told_how_many_of_the_different_texts_were_known():
    cache = TextCache(Computer(), 10 * ENTRY_BYTES)
    assert (await cache.get(ids(1, 2, 1)))[1:] == (0, 2)
    assert (await cache.get(ids(1, 3, 3, 2)))[1:] == (2, 1)
    assert (cache.hits, cache.misses) == (2, 3)


async def test_what_is_forgotten_is_counted():
    cache = TextCache(Computer(), 2 * ENTRY_BYTES)
    for value in (1, 2, 3, 4):
        await cache.get(ids(value))
    assert cache.evictions == 2
    assert cache.bytes == 2 * ENTRY_BYTES
