"""The device as the rest of the service sees it: it loads the model, computes rows, and says whether it works."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from app.errors import NotReady
from app.inference.batcher import Result
from app.inference.encoder import OnStage, Processor
from app.inference.watchdog import Watchdog

MAX_QUEUED_ROWS = 100_000  # texts: about 60 MB at 64 tokens. Images are limited earlier, by admission.
IMAGE, TEXT = "image", "text"  # the towers


class Queue(Protocol):
    """The queue in front of a tower."""

    def submit(self, rows: Sequence[np.ndarray]) -> list[asyncio.Future[Result]]:
        """Returns one future per row; see `Batcher.submit`."""


class Queues(NamedTuple):
    """The queues in front of the two towers."""

    images: Queue
    texts: Queue


class Loaded(NamedTuple):
    """A loaded model: what prepares its inputs, and the queues in front of its towers."""

    processor: Processor
    queues: Queues


class Device(ABC):
    """What computes. A watchdog tests it after idle time and after failures, once a model is loaded.

    Args:
        canary_s: The idle time after which the device is tested.
        ended: The error message after it has ended.
    """

    def __init__(self, canary_s: float, ended: str) -> None:
        self._canary_s = canary_s
        self._ended = ended
        self._watchdog: Watchdog | None = None
        self._watching: asyncio.Task[None] | None = None

    @abstractmethod
    async def load(self, on_stage: OnStage) -> Loaded:
        """Returns the model once it is loaded, warmed up and tested. Any failure is raised."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether it can still compute."""

    @abstractmethod
    async def close(self) -> None:
        """Ends it. Does not wait for a load in progress or a device that hangs."""

    def _watch(self, canary: Callable[[], Awaitable[object]]) -> Watchdog:
        """Starts to watch the device. `canary` computes one row."""
        self._watchdog = watchdog = Watchdog(canary, self._canary_s)
        self._watching = asyncio.create_task(watchdog.watch())
        return watchdog

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
            raise NotReady(self._ended)
        if self._watchdog and self._watchdog.lost:
            raise NotReady(f"The device does not respond: {self._watchdog.unready_reason}. Restart this process.")
