"""One thread that runs what it is given, in order; if it ends unasked, everyone who waits for it hears of it."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger("app")


class WorkerEnded(Exception):
    """The worker's thread has ended, so this will never run."""


class Worker:
    """A thread with a queue. A daemon: a process told to stop does not wait for it.

    An Exception goes to whoever asked for the call. What is more than that, such as a SystemExit, ends the thread too.

    Args:
        name: Of the thread.
        on_death: Called on the thread when it has ended other than by `stop`.
    """

    def __init__(self, name: str, on_death: Callable[[], None] = lambda: None) -> None:
        self._on_death = on_death
        self._lock = threading.Lock()  # so that nothing is queued after the thread has looked for the last time
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Future[object]] | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Returns what `function` will have returned, or raised, on the worker's thread; or a `WorkerEnded`."""
        future: Future[T] = Future()
        with self._lock:
            if not self._ended:
                self._jobs.put((function, future))  # type: ignore[arg-type]  # a Future of one T is one of object here
                return future
        future.set_exception(WorkerEnded())
        return future

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return not self._ended

    def stop(self) -> None:
        """Ends the thread after the jobs that it has."""
        self._jobs.put(None)

    def join(self, timeout_s: float | None = None) -> None:
        """Waits until the thread has ended, or for so long."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while job := self._jobs.get():
                run(*job)
        except BaseException:
            log.critical("the thread %s has ended", self._thread.name, exc_info=True)
            self._end()
            self._on_death()
        else:
            self._end()

    def _end(self) -> None:
        with self._lock:
            self._ended = True
        while not self._jobs.empty():
            if (job := self._jobs.get()) and job[1].set_running_or_notify_cancel():
                job[1].set_exception(WorkerEnded())


def run(function: Callable[[], object], future: Future[object]) -> None:
    """Gives the future what the function returns or raises; raises again what is no Exception."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:
        future.set_exception(error)
        if not isinstance(error, Exception):
            raise
    else:
        future.set_result(result)
