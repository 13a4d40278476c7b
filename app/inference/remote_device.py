"""The device of a front end: another process computes, and its batchers serve all front ends.

    RemoteQueue.submit(rows) --> messages --> DeviceServer --> Batcher.submit(rows)
    front end                    socket       device process

The device process loads the model. A front end prepares the inputs itself: it tokenises, decodes and scores.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from app.inference.batcher import BatchFailed, QueueFull, Result
from app.inference.device import IMAGE, TEXT, Device, Loaded, Queues
from app.inference.encoder import OnStage, Processor
from app.inference.messages import Connection
from app.inference.model_facts import ModelFacts
from app.settings import Settings

LOST = "The device process has ended. Restart this service."


class _DeviceProcess(Connection):
    """The connection to the device process."""

    def __init__(self, device: "RemoteDevice") -> None:
        super().__init__()
        self._device = device

    def receive(self, message: list[Any]) -> None:
        """Passes on a message."""
        self._device.receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Reports the loss."""
        self._device.lose()


class RemoteDevice(Device):
    """The device process, as a front end sees it.

    Args:
        path: The Unix socket where the device process listens.
        load_processor: Returns what prepares inputs for the model that the device process has loaded.
        settings: The idle time after which the device is tested.
        on_death: Called if the device process has ended.
    """

    def __init__(
        self,
        path: str,
        load_processor: Callable[[ModelFacts], Processor],
        settings: Settings,
        on_death: Callable[[], None],
    ) -> None:
        super().__init__(settings.canary_s, LOST)
        self._path = path
        self._load_processor = load_processor
        self._on_death = on_death
        self._lost = False
        self._closed = False
        self._connection = _DeviceProcess(self)
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Future[Result]] = {}

    async def load(self, on_stage: OnStage) -> Loaded:
        """Returns the model once the device process has loaded it. If that process ends, this waits for ever."""
        self._on_stage = on_stage
        loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[ModelFacts] = loop.create_future()
        await loop.create_unix_connection(lambda: self._connection, self._path)
        facts = await self._ready
        processor = await asyncio.to_thread(self._load_processor, facts)
        queues = Queues(RemoteQueue(self, IMAGE), RemoteQueue(self, TEXT))
        blank = np.zeros(facts.image_shape, np.uint8)
        self._watch(lambda: queues.images.submit([blank])[0])
        return Loaded(processor, queues)

    @property
    def alive(self) -> bool:
        """Whether the device process runs, as far as this process knows."""
        return not self._lost

    async def close(self) -> None:
        """Closes the connection."""
        self._closed = True
        if self._watching:
            self._watching.cancel()
        self._connection.close()

    def submit(self, tower: str, rows: Sequence[np.ndarray]) -> list[asyncio.Future[Result]]:
        """Returns one future per row; see `Queue.submit`. If there is no place for the rows, all raise `QueueFull`."""
        loop = asyncio.get_running_loop()
        futures = {next(self._ids): loop.create_future() for _ in rows}
        self._waiting |= futures
        for number, future in futures.items():
            future.add_done_callback(partial(self._forget, number))
        if self._lost:
            self._fail_all()
        elif futures:
            self._connection.send("rows", tower, min(futures), [row.tobytes() for row in rows])
        return list(futures.values())

    def _forget(self, number: int, future: asyncio.Future[Result]) -> None:
        del self._waiting[number]
        if future.cancelled():
            self._connection.send("cancel", number)

    def receive(self, message: list[Any]) -> None:
        """Treats a message of the device process."""
        match message:
            case ["stage", stage]:
                self._on_stage(stage)
            case ["ready", facts]:
                self._ready.set_result(ModelFacts.from_message(facts))
            case ["results", results]:
                if self._watchdog:
                    self._watchdog.record_success()
                for number, row, queue_s, compute_s in results:
                    self._settle(number, Result(np.frombuffer(row, np.float32), queue_s, compute_s))
            case ["failed", failures]:
                self.suspect()
                for number, reason in failures:
                    self._settle(number, BatchFailed(reason))
            case ["refused", numbers]:
                for number in numbers:
                    self._settle(number, QueueFull())

    def _settle(self, number: int, outcome: Result | Exception) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():  # cancelled in the meantime
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def lose(self) -> None:
        """Fails all rows that wait, because the device process has ended."""
        self._lost = True
        self._fail_all()
        if not self._closed:
            self._on_death()

    def _fail_all(self) -> None:
        for number in list(self._waiting):
            self._settle(number, BatchFailed(LOST))


@dataclass(frozen=True)
class RemoteQueue:
    """The queue in front of one of the towers of the device process."""

    device: RemoteDevice
    tower: str

    def submit(self, rows: Sequence[np.ndarray]) -> list[asyncio.Future[Result]]:
        """Returns one future per row; see `Queue.submit`."""
        return self.device.submit(self.tower, rows)
