"""The device: the one thread that computes, a queue before each tower, and whether it still answers.

All that runs on the device runs here, so two batches never meet on it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from app.errors import NotReady
from app.inference.batcher import Batcher
from app.inference.encoder import Encoder
from app.inference.watchdog import Watchdog
from app.inference.worker import Worker
from app.observability.metrics import Metrics

T = TypeVar("T")

MAX_QUEUED_ROWS = 100_000  # of texts: at 64 tokens, some 60 MB. Images have a permit each, which is the lower bound.
JOIN_S = 10.0  # for the batch that is being computed when the service ends

log = logging.getLogger("app")


@dataclass(frozen=True)
class _TowerObserver:
    """Tells the metrics and the pulse what one tower's batcher does."""

    tower: str
    metrics: Metrics
    pulse: Watchdog

    def waited(self, seconds: float) -> None:
        self.metrics.queue_wait(self.tower, seconds)

    def dropped(self, rows: int) -> None:
        self.metrics.dropped(self.tower, rows)

    def forward(self, rows: int, seconds: float) -> None:
        self.metrics.forward(self.tower, rows, seconds)
        self.pulse.beat()

    def forward_failed(self, rows: int, error: Exception) -> None:
        self.metrics.forward_failed(self.tower)
        self.pulse.suspect()
        alone = error if rows == 1 else None  # a larger one is halved, and it may be only that it was too large
        log.warning("%d rows have failed in the %s tower: %s", rows, self.tower, type(error).__name__, exc_info=alone)


class Device:
    """The device's thread, and the towers' queues once an encoder is there.

    Args:
        metrics: Who counts.
        max_batch: Images, or texts, that are computed at once.
        canary_s: The idle time after which the device is tried.
        on_death: Called when the thread has ended: nothing can be computed any more.
    """

    def __init__(self, metrics: Metrics, max_batch: int, canary_s: float, on_death: Callable[[], None]) -> None:
        self._metrics = metrics
        self._max_batch = max_batch
        self._canary_s = canary_s
        self._worker = Worker("device", on_death)
        self._watchdog: Watchdog | None = None  # once there is an encoder
        self._watching: asyncio.Task[None] | None = None

    def call(self, function: Callable[[], T]) -> Awaitable[T]:
        """Returns what `function` will have returned on the device's thread."""
        return asyncio.wrap_future(self._worker.call(function))

    def open(self, encoder: Encoder) -> tuple[Batcher, Batcher]:
        """Returns the queues before the image tower and before the text tower, and begins to watch the device."""
        blank = np.zeros((1, *encoder.info.image_size, 3), np.uint8)
        self._watchdog = pulse = Watchdog(lambda: self.call(lambda: encoder.encode_images(blank)), self._canary_s)
        self._watching = asyncio.create_task(pulse.watch())

        def batcher(tower: str, encode: Callable[[np.ndarray], np.ndarray]) -> Batcher:
            observer = _TowerObserver(tower, self._metrics, pulse)
            return Batcher(encode, self._worker, observer, max_batch=self._max_batch, max_queue_items=MAX_QUEUED_ROWS)

        return batcher("image", encoder.encode_images), batcher("text", encoder.encode_texts)

    @property
    def alive(self) -> bool:
        """Whether the thread runs; also after `close`, if it is inside a long call."""
        return self._worker.alive

    def suspect(self) -> None:
        """Says that an answer was no number, so that the device is tried at once."""
        if self._watchdog:
            self._watchdog.suspect()

    def check_ready(self) -> None:
        """Raises `NotReady` if the device has computed nothing lately, or has failed."""
        if self._watchdog and (reason := self._watchdog.unready_reason):
            raise NotReady(f"The service is not ready: {reason}.")

    def check_live(self) -> None:
        """Raises `NotReady` if nothing but a restart would help."""
        if not self.alive:
            raise NotReady("The device thread has ended. Restart this process.")
        if self._watchdog and self._watchdog.lost:
            raise NotReady(f"The device is lost: {self._watchdog.unready_reason}. Restart this process.")

    async def close(self) -> None:
        """Ends the thread. A load that is under way is not waited for, nor a device that is stuck."""
        self._worker.stop()
        if self._watching:
            self._watching.cancel()
            await asyncio.get_running_loop().run_in_executor(None, self._worker.join, JOIN_S)
