import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator

import pytest

from app.inference.threads import ThreadPool

pytestmark = pytest.mark.anyio


class Body:
    """A large object that a call references."""


class Work:
    """A call that blocks until `end` is set."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.end = threading.Event()

    def __call__(self, *_held: object) -> None:
        self.started.set()
        self.end.wait()


@pytest.fixture
async def pool() -> AsyncIterator[ThreadPool]:
    pool = ThreadPool(2, "test")
    yield pool
    pool.close()


@pytest.fixture
async def busy(pool) -> AsyncIterator[list[Work]]:
    """Two blocked calls that occupy both threads of the pool."""
    calls = [Work(), Work()]
    tasks = [asyncio.create_task(pool.run(call)) for call in calls]
    for call in calls:
        await asyncio.to_thread(call.started.wait)
    yield calls
    for call in calls:
        call.end.set()
    await asyncio.gather(*tasks)


async def test_a_result_is_returned_and_an_error_is_raised(pool):
    assert await pool.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 7, 0)
    assert await pool.run(lambda: None) is None


async def test_a_call_that_is_cancelled_in_the_queue_is_released_and_never_runs(pool, busy):
    body, called = Body(), []
    alive = weakref.ref(body)
    waiting = asyncio.create_task(pool.run(called.append, body))
    del body
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    del waiting
    gc.collect()
    assert alive() is None
    for call in busy:
        call.end.set()
    await pool.run(lambda: None)
    assert called == []


async def test_a_thread_is_occupied_until_its_call_ends_even_if_the_caller_was_cancelled(pool):
    calls = [Work() for _ in range(3)]
    tasks = [asyncio.create_task(pool.run(call)) for call in calls]
    for call in calls[:2]:
        await asyncio.to_thread(call.started.wait)
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    await asyncio.sleep(0)
    assert not calls[2].started.is_set()
    calls[0].end.set()
    await asyncio.to_thread(calls[2].started.wait)
    for call in calls[1:]:
        call.end.set()
    await asyncio.gather(*tasks[1:])


async def test_the_result_of_a_cancelled_caller_is_dropped(pool):
    call = Work()
    task = asyncio.create_task(pool.run(call))
    await asyncio.to_thread(call.started.wait)
    task.cancel()
    call.end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [await pool.run(abs, number) for number in (-1, -2, -3)] == [1, 2, 3]


async def test_calls_run_in_order(pool, busy):
    order: list[int] = []
    waiting = [asyncio.create_task(pool.run(order.append, number)) for number in range(5)]
    await asyncio.sleep(0)
    busy[0].end.set()
    await asyncio.gather(*waiting)
    assert order == [0, 1, 2, 3, 4]


def test_a_call_may_end_after_its_loop_was_closed():
    call = Work()

    async def start() -> ThreadPool:
        pool = ThreadPool(1, "test")
        task = asyncio.create_task(pool.run(call))
        await asyncio.to_thread(call.started.wait)
        task.cancel()
        return pool

    pool = asyncio.run(start())
    call.end.set()
    pool.close()
    for thread in threading.enumerate():
        if thread.name.startswith("test"):
            thread.join()
