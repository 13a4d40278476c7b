"""Many callers, one worker: what is queued when the worker becomes free is computed together. No timer.

A lone caller waits for nobody, and load makes batches by itself. Each batch is a job of its own, put behind the
others' when it is over, so two batchers take turns on one worker and no loop can die unseen.

    submit() ---> queue of submissions ---> job: take, compute, answer, next job ---> futures
    event loop                              worker thread                            event loop

This room knows rows of arrays, and nothing of images or texts.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

import numpy as np

from app.inference.worker import Worker


class QueueFull(Exception):
    """The queue has no room; nothing of the submission was taken."""


class BatchFailed(Exception):
    """A row could not be computed, also not alone, or the worker has ended; the cause says why."""


class Result(NamedTuple):
    """The answer for one row, how long it was queued, and how long its batch was computed."""

    row: np.ndarray
    queue_s: float
    compute_s: float

    def kept(self) -> "Result":
        """Returns what a cache may keep: without its times, and copied, since a row would keep its whole batch."""
        return Result(self.row.copy(), 0.0, 0.0)


class Observer(Protocol):
    """Who is told what happens, on the worker's thread."""

    def waited(self, seconds: float) -> None:
        """A row was queued for so long."""

    def dropped(self, rows: int) -> None:
        """So many rows were not computed, because their callers had gone."""

    def forward(self, rows: int, seconds: float) -> None:
        """A batch was computed."""

    def forward_failed(self, rows: int, error: Exception) -> None:
        """A batch could not be computed."""


class _Waiter(NamedTuple):
    row: np.ndarray
    future: asyncio.Future[Result]
    since_s: float


class Batcher:
    """A bounded queue of rows before one function of a batch.

    Args:
        compute: A batch [B, ...] to as many results [B, ...], 1 <= B <= `max_batch`; runs on the worker.
        worker: Whose thread computes; it may have other work.
        observer: Who is told.
        max_batch: Rows computed together.
        max_queue_items: Rows that may be queued when a submission comes. It is taken as a whole, however long, so that
            a request larger than the bound is possible.
    """

    def __init__(
        self,
        compute: Callable[[np.ndarray], np.ndarray],
        worker: Worker,
        observer: Observer,
        *,
        max_batch: int,
        max_queue_items: int,
    ) -> None:
        self._compute = compute
        self._worker = worker
        self._observer = observer
        self._max_batch = max_batch
        self._max_queue_items = max_queue_items
        # Of the three below, which both threads change. Reentrant: a worker that has ended finishes a job at once.
        self._lock = threading.RLock()
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
            self._worker.call(self._run_batch).add_done_callback(self._finish)

    def _run_batch(self) -> None:
        batch = self._take()
        if batch:
            self._answer(batch)

    def _finish(self, job: Future[None]) -> None:
        """Schedules the next batch; or, if the worker has ended, answers everyone who waits."""
        with self._lock:
            self._scheduled = False
            if not job.exception():
                self._schedule()
                return
            waiters = [waiter for submission in self._submissions for waiter in submission]
            self._submissions.clear()
            self._queued = 0
        deliver(waiters, [failure(job.exception()) for _ in waiters], 0.0)

    def _take(self) -> list[_Waiter]:
        """Returns the rows of the next batch: one of each submission in turn, so that a long one holds up no short."""
        batch: list[_Waiter] = []
        dropped = 0
        with self._lock:
            while self._submissions and len(batch) < self._max_batch:
                submission = self._submissions.popleft()
                waiter = submission.popleft()
                self._queued -= 1
                if submission:
                    self._submissions.append(submission)
                if waiter.future.cancelled():
                    dropped += 1
                else:
                    batch.append(waiter)
        if dropped:
            self._observer.dropped(dropped)
        return batch

    def _answer(self, batch: list[_Waiter]) -> None:
        """Computes a batch, and sees to it that each of its waiters hears of it."""
        started_s = time.perf_counter()
        for waiter in batch:
            self._observer.waited(started_s - waiter.since_s)
        try:
            outcomes = self._compute_rows([waiter.row for waiter in batch])
        except BaseException as error:  # it ends the thread; a waiter who hears nothing would wait for ever
            deliver(batch, [failure(error) for _ in batch], started_s)
            raise
        deliver(batch, outcomes, started_s)

    def _compute_rows(self, rows: list[np.ndarray]) -> list[np.ndarray | BatchFailed]:
        """Returns what became of each row. A batch that fails, say for want of memory, is halved and tried again."""
        started_s = time.perf_counter()
        try:
            results = self._compute_batch(np.stack(rows))
        except Exception as error:
            self._observer.forward_failed(len(rows), error)
            if len(rows) == 1:
                return [failure(error)]
        else:
            self._observer.forward(len(rows), time.perf_counter() - started_s)
            return [*results]
        # Out here the failed batch and its traceback, which holds its arrays, have been given up.
        half = len(rows) // 2
        return self._compute_rows(rows[:half]) + self._compute_rows(rows[half:])

    def _compute_batch(self, batch: np.ndarray) -> list[np.ndarray]:
        results = self._compute(batch)
        if len(results) != len(batch):
            raise ValueError(f"a batch of {len(batch)} rows gave {len(results)} results")
        return list(results)


def failure(cause: BaseException | None) -> BatchFailed:
    """Returns what one waiter is told; each has its own, for a traceback grows with every raise."""
    failed = BatchFailed("a row could not be computed")
    failed.__cause__ = cause
    return failed


def deliver(waiters: list[_Waiter], outcomes: list[np.ndarray | BatchFailed], started_s: float) -> None:
    """Gives each waiter its outcome, on the event loop."""
    compute_s = time.perf_counter() - started_s

    def answer() -> None:
        for waiter, outcome in zip(waiters, outcomes, strict=True):
            if waiter.future.done():  # cancelled meanwhile
                continue
            if isinstance(outcome, BatchFailed):
                waiter.future.set_exception(outcome)
            else:
                waiter.future.set_result(Result(outcome, started_s - waiter.since_s, compute_s))

    if waiters:
        waiters[0].future.get_loop().call_soon_threadsafe(answer)
