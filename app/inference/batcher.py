"""Batches the rows of many callers for one worker: rows that are queued when it becomes free are computed together.

There is no timer. A single caller does not wait for others, and batches form under load. Each batch is a separate job,
queued when the batch before it has ended. So two batchers take turns on one worker, and there is no loop that could
die unnoticed.

    submit() ---> queue of submissions ---> job: take, compute, deliver, next job ---> futures
    event loop                              worker thread                             event loop

A batcher sees rows of arrays. It does not know about images or texts.
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
    """The queue is full. No row of the submission was queued."""


class BatchFailed(Exception):
    """A row could not be computed, even in a batch of one, or the worker has ended. `__cause__` has the reason."""


class Result(NamedTuple):
    """The result of one row, its time in the queue, and the computing time of its batch."""

    row: np.ndarray
    queue_s: float
    compute_s: float

    def kept(self) -> "Result":
        """Returns a result for a cache: without times, with the row copied, because a view keeps the whole batch."""
        return Result(self.row.copy(), 0.0, 0.0)


class Observer(Protocol):
    """Gets events, on the worker's thread."""

    def waited(self, seconds: float) -> None:
        """A row has left the queue after this time."""

    def dropped(self, rows: int) -> None:
        """Rows were not computed, because their futures had been cancelled."""

    def forward(self, rows: int, seconds: float) -> None:
        """A batch was computed."""

    def forward_failed(self, rows: int, error: Exception) -> None:
        """A batch could not be computed."""


class _Waiter(NamedTuple):
    row: np.ndarray
    future: asyncio.Future[Result]
    since_s: float


class Batcher:
    """A bounded queue of rows in front of a function that computes batches.

    Args:
        compute: Returns the results [B, ...] of a batch [B, ...], 1 <= B <= `max_batch`. Runs on the worker.
        worker: The thread that computes. It may have other jobs.
        observer: Gets events.
        max_batch: Most rows per batch.
        max_queue_items: A submission is refused if this many rows are queued already. Otherwise all of it is queued, so
            that a request larger than the limit is possible.
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
        # For the three attributes below, which both threads change. Reentrant, because a worker that has ended calls
        # `_finish` from within `_schedule`.
        self._lock = threading.RLock()
        self._submissions: deque[deque[_Waiter]] = deque()
        self._queued = 0
        self._scheduled = False

    def submit(self, rows: Sequence[np.ndarray]) -> list[asyncio.Future[Result]]:
        """Returns one future per row. If a future is cancelled while its row is queued, the row is not computed.

        Raises:
            QueueFull: The queue is full.
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
            self._process(batch)

    def _finish(self, job: Future[None]) -> None:
        """Schedules the next batch. If the worker has ended, all waiting futures fail instead."""
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
        """Returns the next batch: one row of each submission in turn, so that a long one does not delay short ones."""
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

    def _process(self, batch: list[_Waiter]) -> None:
        """Computes a batch, and delivers a result or an error to each waiter."""
        started_s = time.perf_counter()
        for waiter in batch:
            self._observer.waited(started_s - waiter.since_s)
        try:
            outcomes = self._compute_rows([waiter.row for waiter in batch])
        except BaseException as error:  # it ends the thread, and without an error the callers would wait for ever
            deliver(batch, [failure(error) for _ in batch], started_s)
            raise
        deliver(batch, outcomes, started_s)

    def _compute_rows(self, rows: list[np.ndarray]) -> list[np.ndarray | BatchFailed]:
        """Returns each row's result or error. A batch that fails, for example out of memory, is halved and retried."""
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
        # After the `except` block the failed batch is freed, and so is the traceback, which holds its arrays.
        half = len(rows) // 2
        return self._compute_rows(rows[:half]) + self._compute_rows(rows[half:])

    def _compute_batch(self, batch: np.ndarray) -> list[np.ndarray]:
        results = self._compute(batch)
        if len(results) != len(batch):
            raise ValueError(f"a batch of {len(batch)} rows gave {len(results)} results")
        return list(results)


def failure(cause: BaseException | None) -> BatchFailed:
    """Returns the error for one waiter. Each gets a new one, because a traceback grows with every raise."""
    failed = BatchFailed("a row could not be computed")
    failed.__cause__ = cause
    return failed


def deliver(waiters: list[_Waiter], outcomes: list[np.ndarray | BatchFailed], started_s: float) -> None:
    """Sets the result or the error of each waiter's future, on the event loop."""
    compute_s = time.perf_counter() - started_s

    def set_outcomes() -> None:
        for waiter, outcome in zip(waiters, outcomes, strict=True):
            if waiter.future.done():  # cancelled in the meantime
                continue
            if isinstance(outcome, BatchFailed):
                waiter.future.set_exception(outcome)
            else:
                waiter.future.set_result(Result(outcome, started_s - waiter.since_s, compute_s))

    if waiters:
        waiters[0].future.get_loop().call_soon_threadsafe(set_outcomes)
