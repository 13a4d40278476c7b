import asyncio
import threading

import pytest

from app.inference.worker import Worker, WorkerEnded

pytestmark = pytest.mark.anyio


@pytest.fixture
def worker():
    worker = Worker("test")
    yield worker
    worker.stop()
    worker.join()


async def test_a_call_returns_the_result_or_raises_the_error_of_its_function(worker):
    assert await asyncio.wrap_future(worker.call(lambda: threading.current_thread().name)) == "test"
    with pytest.raises(ZeroDivisionError):
        await asyncio.wrap_future(worker.call(lambda: 1 // 0))


async def test_a_cancelled_call_does_not_end_the_worker(worker):
    entered, free = threading.Event(), threading.Event()
    running = asyncio.wrap_future(worker.call(lambda: (entered.set(), free.wait())))
    queued = asyncio.wrap_future(worker.call(lambda: None))
    await asyncio.get_running_loop().run_in_executor(None, entered.wait)
    running.cancel()
    queued.cancel()
    free.set()
    assert await asyncio.wrap_future(worker.call(lambda: 7)) == 7
    assert worker.alive


def end() -> None:
    raise SystemExit


async def test_if_the_thread_ends_every_caller_gets_an_error_and_on_death_is_called():
    entered, free, died = threading.Event(), threading.Event(), threading.Event()
    worker = Worker("test", died.set)
    worker.call(lambda: (entered.set(), free.wait()))
    entered.wait()
    fatal, queued, cancelled = worker.call(end), worker.call(lambda: 7), worker.call(lambda: 8)
    cancelled.cancel()
    free.set()
    assert died.wait(30)
    assert isinstance(fatal.exception(), SystemExit)
    assert isinstance(queued.exception(), WorkerEnded)
    assert isinstance(worker.call(lambda: 9).exception(), WorkerEnded)
    assert not worker.alive


async def test_on_death_is_not_called_when_the_worker_is_stopped():
    died = threading.Event()
    worker = Worker("test", died.set)
    worker.stop()
    worker.join()
    assert not worker.alive
    assert not died.is_set()
