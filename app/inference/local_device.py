"""The device in this process: one thread that computes, with a batcher in front of each tower.

Everything on the device runs on this thread, so two batches never run at once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from app.inference.batcher import Batcher
from app.inference.device import IMAGE, MAX_QUEUED_ROWS, TEXT, Device, Loaded, Queues
from app.inference.encoder import Encoder, OnStage
from app.inference.watchdog import Watchdog
from app.inference.worker import Worker
from app.observability.metrics import Metrics
from app.settings import Settings

T = TypeVar("T")

JOIN_S = 10.0  # at shutdown, how long to wait for the current batch

log = logging.getLogger("app")


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


class LocalDevice(Device):
    """The device's thread and, once an encoder is loaded, the towers' batchers.

    Args:
        load_encoder: Returns the encoder, not yet warmed up. Runs on the device's thread.
        settings: The largest batch, and the idle time after which the device is tested.
        metrics: The service's metrics.
        on_death: Called if the thread has ended unexpectedly. Nothing can be computed after that.
    """

    def __init__(
        self,
        load_encoder: Callable[[OnStage], Encoder],
        settings: Settings,
        metrics: Metrics,
        on_death: Callable[[], None],
    ) -> None:
        super().__init__(settings.canary_s, "The device thread has ended. Restart this process.")
        self._load_encoder = load_encoder
        self._max_batch = settings.max_batch
        self._metrics = metrics
        self._worker = Worker("device", on_death)

    async def load(self, on_stage: OnStage) -> Loaded:
        """Returns the encoder, loaded, warmed up and tested on the device's thread, with its queues."""
        on_stage("loading")
        encoder = await self._call(lambda: self._load_encoder(on_stage))
        on_stage("compiling")
        await self._call(encoder.warm_up)
        on_stage("self-test")
        await self._call(encoder.self_test)
        blank = np.zeros((1, *encoder.preprocessor.shape), np.uint8)
        watchdog = self._watch(lambda: self._call(lambda: encoder.encode_images(blank)))

        def batcher(tower: str, encode: Callable[[np.ndarray], np.ndarray]) -> Batcher:
            observer = _TowerObserver(tower, self._metrics, watchdog)
            return Batcher(encode, self._worker, observer, max_batch=self._max_batch, max_queue_items=MAX_QUEUED_ROWS)

        return Loaded(encoder, Queues(batcher(IMAGE, encoder.encode_images), batcher(TEXT, encoder.encode_texts)))

    def _call(self, function: Callable[[], T]) -> Awaitable[T]:
        """Returns what `function` returns, run on the device's thread."""
        return asyncio.wrap_future(self._worker.call(function))

    @property
    def alive(self) -> bool:
        """Whether the thread is running. After `close`, it still is if it is inside a long call."""
        return self._worker.alive

    async def close(self) -> None:
        """Ends the thread. Does not wait for a load in progress or a device that hangs."""
        self._worker.stop()
        if self._watching:
            self._watching.cancel()
            await asyncio.get_running_loop().run_in_executor(None, self._worker.join, JOIN_S)
