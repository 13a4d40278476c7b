"""Many callers, one worker: what is queued when the worker becomes free is computed together. No timer.

A lone caller waits for nobody, and load makes batches by itself. Each batch is a job of its own, put behind the
others' when it is over, so two batchers take turns on one worker and no loop can die unseen.

    submit() ---> queue of submissions ---> job: take, compute, answer, next job ---> futures
    event loop                              worker thread                            event loop

This room knows rows of arrays, and nothing of images or texts.
"""

import asyncio
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

import numpy as np

T = TypeVar("T")


class QueueFull(Exception):
    """The queue has no room; nothing of the submission was taken."""


class BatchFailed(Exception):
    """The batch that a row was in could not be computed; the cause says why."""


class Result(NamedTuple):
    """The answer for one row, how long it was queued, and how long its batch was computed."""

    row: np.ndarray
    queue_s: float
    compute_s: float


class _Waiter(NamedTuple):
    row: np.ndarray
    future: asyncio.Future[Result]
    since_s: float


class Worker:
    """One thread that runs what it is given, in order. A daemon: a process told to stop does not wait for it."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Returns what `function` will have returned, or raised, on the worker's thread."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self._jobs.put(job)
        return future

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Ends the thread after the jobs that it has."""
        self._jobs.put(None)

    def join(self) -> None:
        """Waits until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()


class Batcher:
    """A bounded queue of rows before one function of a batch.

    Args:
        compute: A batch [B, ...] to as many results [B, ...], 1 <= B <= `max_batch`; runs on the worker.
        worker: Whose thread computes; it may have other work.
        max_batch: Rows computed together.
        max_queue_items: Rows that may be queued when a submission comes. It is taken as a whole, however long, so that
            a request larger than the bound is possible.
    """

    def __init__(
        self, compute: Callable[[np.ndarray], np.ndarray], worker: Worker, *, max_batch: int, max_queue_items: int
    ) -> None:
        self._compute = compute
        self._worker = worker
        self._max_batch = max_batch
        self._max_queue_items = max_queue_items
        self._lock = threading.Lock()  # of the three below, which both threads change
        self._submissions: deque[deque[_Waiter]] = deque()
        self._queued = 0
        self._scheduled = False

    def submit(self, rows: Sequence[np.ndarray]) -> list[asyncio.Future[Result]]:
        """Returns one future a row. A caller who has lost interest cancels it, and the row is not computed.

        Raises:
            QueueFull: The queue has no room.
        """
        loop = asyncio.get_running_loop()
        now_s = time.perf_counter()
        waiters = [_Waiter(row, loop.create_future(), now_s) for row in rows]
        with self._lock:
            if self._queued >= self._max_queue_items:
                raise QueueFull
            if waiters:
                self._submissions.append(deque(waiters))
                self._queued += len(waiters)
                self._schedule()
        return [waiter.future for waiter in waiters]

    def _schedule(self) -> None:
        if self._submissions and not self._scheduled:
            self._scheduled = True
            self._worker.call(self._run_batch)

    def _run_batch(self) -> None:
        batch = self._take()
        try:
            if batch:
                self._answer(batch)
        finally:
            with self._lock:
                self._scheduled = False
                self._schedule()

    def _take(self) -> list[_Waiter]:
        """Returns the rows of the next batch: one of each submission in turn, so that a long one holds up no short."""
        batch: list[_Waiter] = []
        with self._lock:
            while self._submissions and len(batch) < self._max_batch:
                submission = self._submissions.popleft()
                waiter = submission.popleft()
                self._queued -= 1
                if submission:
                    self._submissions.append(submission)
                if not waiter.future.cancelled():
                    batch.append(waiter)
        return batch

    def _answer(self, batch: list[_Waiter]) -> None:
        """Computes a batch, and sees to it that each of its waiters hears of it."""
        started_s = time.perf_counter()
        outcome: np.ndarray | BaseException
        try:
            outcome = self._compute(np.stack([waiter.row for waiter in batch]))
            if len(outcome) != len(batch):
                outcome = ValueError(f"a batch of {len(batch)} rows gave {len(outcome)} results")
        except BaseException as error:  # also what is not an Exception: a waiter who hears nothing waits for ever
            outcome = error
        compute_s = time.perf_counter() - started_s

        def deliver() -> None:
            for index, waiter in enumerate(batch):
                if waiter.future.done():  # cancelled meanwhile
                    continue
                if isinstance(outcome, BaseException):
                    failure = BatchFailed(f"a batch of {len(batch)} could not be computed")
                    failure.__cause__ = outcome
                    waiter.future.set_exception(failure)
                else:
                    waiter.future.set_result(Result(outcome[index], started_s - waiter.since_s, compute_s))

        batch[0].future.get_loop().call_soon_threadsafe(deliver)
