"""The device: one thread that computes, a queue in front of each tower, and a watchdog.

Everything on the device runs on this thread, so two batches never run at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from app.errors import NotReady
from app.inference.batcher import Batcher
from app.inference.encoder import Encoder
from app.inference.watchdog import Watchdog
from app.inference.worker import Worker
from app.observability.metrics import Metrics

T = TypeVar("T")

MAX_QUEUED_ROWS = 100_000  # texts: about 60 MB at 64 tokens. Images are limited earlier, by admission.
JOIN_S = 10.0  # at shutdown, how long to wait for the current batch

log = logging.getLogger("app")


class Queues(NamedTuple):
    """The queues in front of the two towers."""

    images: Batcher
    texts: Batcher


@dataclass(frozen=True)
class _TowerObserver:
    """Reports one tower's batches to the metrics and the watchdog."""

    tower: str
    metrics: Metrics
    watchdog: Watchdog

    def waited(self, seconds: float) -> None:
        self.metrics.queue_wait_s.labels(self.tower).observe(seconds)

    def dropped(self, rows: int) -> None:
        self.metrics.dropped_rows.labels(self.tower).inc(rows)

    def forward(self, rows: int, seconds: float) -> None:
        self.metrics.batch_size.labels(self.tower).observe(rows)
        self.metrics.inference_s.labels(self.tower).observe(seconds)
        self.watchdog.record_success()

    def forward_failed(self, rows: int, error: Exception) -> None:
        self.metrics.forward_failures.labels(self.tower).inc()
        self.watchdog.suspect()
        traceback = error if rows == 1 else None  # a larger batch is halved and retried
        log.warning("%d rows failed in the %s tower: %s", rows, self.tower, type(error).__name__, exc_info=traceback)


class Device:
    """The device's thread and, once an encoder is loaded, the towers' queues.

    Args:
        metrics: The service's metrics.
        max_batch: The most images, or texts, in one batch.
        canary_s: The idle time after which the device is tested.
        on_death: Called if the thread has ended unexpectedly. Nothing can be computed after that.
    """

    def __init__(self, metrics: Metrics, max_batch: int, canary_s: float, on_death: Callable[[], None]) -> None:
        self._metrics = metrics
        self._max_batch = max_batch
        self._canary_s = canary_s
        self._worker = Worker("device", on_death)
        self._watchdog: Watchdog | None = None  # until an encoder is loaded
        self._watching: asyncio.Task[None] | None = None

    def call(self, function: Callable[[], T]) -> Awaitable[T]:
        """Returns what `function` returns, run on the device's thread."""
        return asyncio.wrap_future(self._worker.call(function))

    def open(self, encoder: Encoder) -> Queues:
        """Returns the queues in front of an encoder's towers, and starts to watch the device."""
        blank = np.zeros((1, *encoder.info.image_size, 3), np.uint8)
        self._watchdog = watchdog = Watchdog(lambda: self.call(lambda: encoder.encode_images(blank)), self._canary_s)
        self._watching = asyncio.create_task(watchdog.watch())

        def batcher(tower: str, encode: Callable[[np.ndarray], np.ndarray]) -> Batcher:
            observer = _TowerObserver(tower, self._metrics, watchdog)
            return Batcher(encode, self._worker, observer, max_batch=self._max_batch, max_queue_items=MAX_QUEUED_ROWS)

        return Queues(batcher("image", encoder.encode_images), batcher("text", encoder.encode_texts))

    @property
    def alive(self) -> bool:
        """Whether the thread is running. After `close`, it still is if it is inside a long call."""
        return self._worker.alive

    def suspect(self) -> None:
        """Tests the device at once."""
        if self._watchdog:
            self._watchdog.suspect()

    def check_ready(self) -> None:
        """Raises `NotReady` if the device has computed nothing for too long, or has failed."""
        if self._watchdog and (reason := self._watchdog.unready_reason):
            raise NotReady(f"The service is not ready: {reason}.")

    def check_live(self) -> None:
        """Raises `NotReady` if only a restart would help."""
        if not self.alive:
            raise NotReady("The device thread has ended. Restart this process.")
        if self._watchdog and self._watchdog.lost:
            raise NotReady(f"The device does not respond: {self._watchdog.unready_reason}. Restart this process.")

    async def close(self) -> None:
        """Ends the thread. Does not wait for a load in progress or a device that hangs."""
        self._worker.stop()
        if self._watching:
            self._watching.cancel()
            await asyncio.get_running_loop().run_in_executor(None, self._worker.join, JOIN_S)
