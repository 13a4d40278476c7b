"""The service's thread pools. A caller that waits for a thread is a coroutine.

`run_in_executor` would queue a closure, which keeps its arguments, such as a request body, even after its caller was
cancelled. Here callers wait on a semaphore in front of the pool, and a closure exists only while a thread runs it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, Protocol, TypeVar

from model.engines.machine import available_cpus

P = ParamSpec("P")
T = TypeVar("T")

# Tokenising or scoring a text takes about 10 us, and a switch to a thread and back at least 100 us.
MAX_TEXTS_ON_LOOP = 32


class Run(Protocol):
    """Runs a function, and returns its result."""

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


class ThreadPool:
    """Threads for functions that an event loop awaits, first come, first served.

    Args:
        threads: The number of threads.
        name: The prefix of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._free = asyncio.Semaphore(threads)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in a thread.

        If the caller is cancelled while it waits, the function never runs. If it is cancelled later, the function
        still runs to its end and occupies its thread until then.
        """
        loop = asyncio.get_running_loop()
        await self._free.acquire()
        done: asyncio.Future[T] = loop.create_future()

        def finish(result: T | None, error: BaseException | None) -> None:
            self._free.release()
            if done.cancelled():
                return
            if error:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # None only if T allows it

        def work() -> None:
            result, error = None, None
            try:
                result = function(*args, **kwargs)
            except BaseException as raised:
                error = raised
            with suppress(RuntimeError):  # the loop is closed, so there is no caller left
                loop.call_soon_threadsafe(finish, result, error)

        self._executor.submit(work)
        return await done

    def close(self) -> None:
        """Ends the threads. It does not wait for functions that still run."""
        self._executor.shutdown(wait=False)


async def at_once(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Returns `function(...)`, run on the event loop."""
    return function(*args, **kwargs)


class Threads:
    """One pool for each kind of work, so that a short task, such as tokenising, does not wait for large images.

    Args:
        decodes: The number of images that are decoded at once. Each thread waits for one worker process.
    """

    def __init__(self, decodes: int) -> None:
        self.decode = ThreadPool(decodes, "decode")
        self.compute = ThreadPool(available_cpus(), "compute")
        self.long = ThreadPool(1, "long")  # for what takes seconds; one at a time, which also limits its memory

    def compute_texts(self, count: int) -> Run:
        """Returns what runs a function that treats `count` texts: a few take less time than a switch of threads."""
        return at_once if count <= MAX_TEXTS_ON_LOOP else self.compute.run

    def close(self) -> None:
        """Ends the threads."""
        self.decode.close()
        self.compute.close()
        self.long.close()
