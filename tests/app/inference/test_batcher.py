import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest

from app.inference.batcher import Batcher, BatchFailed, QueueFull
from app.inference.worker import Worker, WorkerEnded

pytestmark = pytest.mark.anyio


def row(value: int) -> np.ndarray:
    return np.array([value])


def values(results: list) -> list[int]:
    return [int(result.row[0]) for result in results]


class Doubling:
    """Doubles rows and records its batches. `hold` blocks it inside a batch."""

    def __init__(self, fails: Callable[[list[int]], bool] = lambda _: False, error: type[BaseException] = ValueError):
        self.batches: list[list[int]] = []
        self.fails = fails
        self.error = error
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        batch = rows[:, 0].tolist()
        self.batches.append(batch)
        self.entered.set()
        self.free.wait()
        if self.fails(batch):
            raise self.error("no")
        return rows * 2

    async def hold(self, batcher: Batcher) -> asyncio.Future:
        """Blocks the worker in a batch of the row 0, until `free` is set."""
        self.free.clear()
        (future,) = batcher.submit([row(0)])
        await asyncio.get_running_loop().run_in_executor(None, self.entered.wait)
        return future


@pytest.fixture
def worker():
    worker = Worker("test")
    yield worker
    worker.stop()
    worker.join()


class Recorder:
    """Records what a batcher reports."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.dropped_rows: list[int] = []
        self.forwards: list[int] = []
        self.failures: list[int] = []

    def waited(self, seconds: float) -> None:
        self.waits.append(seconds)

    def dropped(self, rows: int) -> None:
        self.dropped_rows.append(rows)

    def forward(self, rows: int, seconds: float) -> None:
        assert seconds >= 0
        self.forwards.append(rows)

    def forward_failed(self, rows: int, error: Exception) -> None:
        self.failures.append(rows)


def make(compute, worker, max_batch=4, max_queue_items=100, recorder=None) -> Batcher:
    return Batcher(compute, worker, recorder or Recorder(), max_batch=max_batch, max_queue_items=max_queue_items)


async def test_a_single_row_is_computed_at_once(worker):
    doubling = Doubling()
    (future,) = make(doubling, worker).submit([row(21)])
    assert values([await future]) == [42]
    assert doubling.batches == [[21]]


async def test_rows_that_are_queued_when_the_worker_becomes_free_are_one_batch(worker):
    doubling = Doubling()
    batcher = make(doubling, worker)
    first = await doubling.hold(batcher)
    futures = [batcher.submit([row(value)])[0] for value in range(1, 7)]
    doubling.free.set()
    assert values(await asyncio.gather(first, *futures)) == [0, 2, 4, 6, 8, 10, 12]
    assert doubling.batches == [[0], [1, 2, 3, 4], [5, 6]]


async def test_a_long_submission_does_not_delay_a_short_one(worker):
    doubling = Doubling()
    batcher = make(doubling, worker)
    first = await doubling.hold(batcher)
    long = batcher.submit([row(value) for value in range(10, 20)])
    short = batcher.submit([row(1)])
    doubling.free.set()
    assert values(await asyncio.gather(first, *long, *short)) == [0, *range(20, 40, 2), 2]
    assert doubling.batches[1] == [10, 1, 11, 12]


async def test_two_batchers_take_turns_on_one_worker(worker):
    doubling = Doubling()
    one, two = make(doubling, worker, max_batch=1), make(doubling, worker, max_batch=1)
    first = await doubling.hold(one)
    futures = one.submit([row(1), row(2)]) + two.submit([row(11), row(12)])
    doubling.free.set()
    await asyncio.gather(first, *futures)
    assert doubling.batches in ([[0], [11], [1], [12], [2]], [[0], [1], [11], [2], [12]])


async def test_a_full_queue_refuses_rows_until_it_has_room(worker):
    doubling = Doubling()
    batcher = make(doubling, worker, max_queue_items=2)
    first = await doubling.hold(batcher)
    waiting = batcher.submit([row(1), row(2)])
    with pytest.raises(QueueFull):
        batcher.submit([row(3)])
    doubling.free.set()
    await asyncio.gather(first, *waiting)
    assert values(await asyncio.gather(*batcher.submit([row(3)]))) == [6]


async def test_a_submission_longer_than_the_queue_is_accepted_if_the_queue_has_room(worker):
    futures = make(Doubling(), worker, max_queue_items=2).submit([row(value) for value in range(9)])
    assert values(await asyncio.gather(*futures)) == list(range(0, 18, 2))


async def test_an_empty_submission_returns_no_futures(worker):
    assert make(Doubling(), worker).submit([]) == []


@pytest.mark.parametrize("error", [ValueError, MemoryError])
async def test_a_failed_batch_is_halved_until_only_rows_that_fail_alone_have_failed(worker, error):
    doubling, recorder = Doubling(fails=lambda batch: 3 in batch, error=error), Recorder()
    batcher = make(doubling, worker, recorder=recorder)
    first = await doubling.hold(batcher)
    futures = [batcher.submit([row(value)])[0] for value in (1, 2, 3, 4)]
    doubling.free.set()
    outcomes = await asyncio.gather(first, *futures, return_exceptions=True)
    assert doubling.batches == [[0], [1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]
    assert values(outcomes[:3] + outcomes[4:]) == [0, 2, 4, 8]
    assert type(outcomes[3]) is BatchFailed
    assert isinstance(outcomes[3].__cause__, error)
    assert (recorder.forwards, recorder.failures) == ([1, 2, 1], [4, 2, 1])
    assert values(await asyncio.gather(*batcher.submit([row(5)]))) == [10]


async def test_a_batch_too_large_for_the_device_is_computed_in_parts(worker):
    doubling = Doubling(fails=lambda batch: len(batch) > 3, error=MemoryError)
    futures = make(doubling, worker, max_batch=10).submit([row(value) for value in range(10)])
    assert values(await asyncio.gather(*futures)) == list(range(0, 20, 2))
    assert max(len(batch) for batch in doubling.batches[1:] if len(batch) <= 3) == 3


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
async def test_if_the_worker_ends_in_a_batch_every_caller_gets_an_error(error):
    doubling, died = Doubling(fails=lambda batch: 1 in batch, error=error), threading.Event()
    worker = Worker("test", died.set)
    one, two = make(doubling, worker, max_batch=2), make(doubling, worker)
    first = await doubling.hold(one)
    futures = one.submit([row(1), row(2), row(3)]) + two.submit([row(1)])
    doubling.free.set()
    outcomes = await asyncio.gather(first, *futures, return_exceptions=True)
    assert values(outcomes[:1]) == [0]
    assert [type(outcome) for outcome in outcomes[1:]] == [BatchFailed] * 4
    assert len(set(map(id, outcomes[1:]))) == 4  # separate exceptions, because each raise extends the traceback
    await asyncio.get_running_loop().run_in_executor(None, died.wait)
    assert not worker.alive
    late = await asyncio.gather(*one.submit([row(5)]), return_exceptions=True)
    assert isinstance(late[0].__cause__, WorkerEnded)


async def test_a_batch_with_too_few_results_fails(worker):
    batcher = make(lambda rows: rows[1:], worker)
    outcomes = await asyncio.gather(*batcher.submit([row(1), row(2)]), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [BatchFailed] * 2


async def test_the_row_of_a_cancelled_caller_is_not_computed(worker):
    doubling, recorder = Doubling(), Recorder()
    batcher = make(doubling, worker, recorder=recorder)
    first = await doubling.hold(batcher)
    cancelled, kept = batcher.submit([row(1)])[0], batcher.submit([row(2)])[0]

    async def caller() -> None:
        await cancelled

    task = asyncio.create_task(caller())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    doubling.free.set()
    assert values([await first, await kept]) == [0, 4]
    assert doubling.batches == [[0], [2]]
    assert (recorder.dropped_rows, recorder.forwards, len(recorder.waits)) == ([1], [1, 1], 2)


async def test_a_caller_cancelled_during_the_batch_does_not_affect_the_next(worker):
    doubling = Doubling()
    batcher = make(doubling, worker)
    first = await doubling.hold(batcher)
    first.cancel()
    (second,) = batcher.submit([row(5)])
    doubling.free.set()
    assert values([await second]) == [10]
