"""A thread that runs jobs in order. If it ends unexpectedly, every waiting caller gets an error."""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

log = logging.getLogger("app")


class WorkerEnded(Exception):
    """The worker's thread has ended, so the job will never run."""


class Worker:
    """A daemon thread with a queue of jobs. The process does not wait for it at exit.

    An `Exception` is passed to the caller of the job. Any other exception, such as `SystemExit`, also ends the thread.

    Args:
        name: The thread's name.
        on_death: Called on the thread if it has ended other than by `stop`.
    """

    def __init__(self, name: str, on_death: Callable[[], None] = lambda: None) -> None:
        self._on_death = on_death
        self._lock = threading.Lock()  # so that no job is queued after `_end` has emptied the queue
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], Future[object]] | None] = queue.SimpleQueue()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Returns a future of `function()` on the worker's thread. It fails with `WorkerEnded` if the thread ends."""
        future: Future[T] = Future()
        with self._lock:
            if not self._ended:
                self._jobs.put((function, future))  # type: ignore[arg-type]  # a Future of one T is one of object here
                return future
        future.set_exception(WorkerEnded())
        return future

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return not self._ended

    def stop(self) -> None:
        """Ends the thread after the jobs that are queued."""
        self._jobs.put(None)

    def join(self, timeout_s: float | None = None) -> None:
        """Waits until the thread has ended, or until the timeout."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while job := self._jobs.get():
                run(*job)
        except BaseException:
            log.critical("the thread %s has ended unexpectedly", self._thread.name, exc_info=True)
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
    """Sets the future to what the function returns or raises. Raises again if it is not an `Exception`."""
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
