"""The device process's side: takes rows from the front ends, and returns what the batchers compute.

The rows of all front ends share batches, as the rows of all requests do in a single process.
"""

import asyncio
import socket
from functools import partial
from typing import Any

import numpy as np

from app.inference.batcher import QueueFull, Result
from app.inference.device import IMAGE, TEXT, Loaded, Queue
from app.inference.messages import ROW_DTYPES, Connection
from app.inference.model_facts import ModelFacts


class FrontEnd(Connection):
    """The connection to one front end, and its rows that are not computed yet.

    Args:
        server: Knows the state of the start, and the queues.
    """

    def __init__(self, server: "DeviceServer") -> None:
        super().__init__()
        self._server = server
        self.rows: dict[int, asyncio.Future[Result]] = {}
        self._outbox: dict[str, list[object]] = {}  # outcomes of this turn of the event loop, sent together

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Sends the state of the start."""
        super().connection_made(transport)
        self._server.front_ends.add(self)
        self.send(*self._server.state)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drops the rows of a front end that has ended."""
        self._server.front_ends.discard(self)
        for future in list(self.rows.values()):
            future.cancel()

    def receive(self, message: list[Any]) -> None:
        """Queues rows, or drops one."""
        match message:
            case ["rows", tower, first, rows]:
                self._queue(tower, range(first, first + len(rows)), rows)
            case ["cancel", number] if number in self.rows:
                self.rows[number].cancel()

    def _queue(self, tower: str, numbers: range, rows: list[bytes]) -> None:
        queue, shape = self._server.tower(tower)
        try:
            futures = queue.submit([np.frombuffer(row, ROW_DTYPES[tower]).reshape(shape) for row in rows])
        except QueueFull:
            self.send("refused", list(numbers))
            return
        for number, future in zip(numbers, futures, strict=True):
            self.rows[number] = future
            future.add_done_callback(partial(self._finish, number))

    def _finish(self, number: int, future: asyncio.Future[Result]) -> None:
        del self.rows[number]
        if future.cancelled():
            return
        if error := future.exception():
            self._post("failed", [number, repr(error.__cause__ or error)])
        else:
            row, queue_s, compute_s = future.result()
            self._post("results", [number, row.astype(np.float32, copy=False).tobytes(), queue_s, compute_s])

    def _post(self, kind: str, outcome: object) -> None:
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._send_outbox)
        self._outbox.setdefault(kind, []).append(outcome)

    def _send_outbox(self) -> None:
        outbox, self._outbox = self._outbox, {}
        for kind, outcomes in outbox.items():
            self.send(kind, outcomes)


class DeviceServer:
    """Serves the queues of a device to front ends. It reports the stages of the start until the model is loaded."""

    def __init__(self) -> None:
        self.front_ends: set[FrontEnd] = set()
        self.state: tuple[object, ...] = ("stage", "starting")
        self._loop = asyncio.get_running_loop()
        self._towers: dict[str, tuple[Queue, tuple[int, ...]]] = {}

    async def listen(self, listener: socket.socket) -> None:
        """Starts to accept front ends."""
        await self._loop.create_unix_server(lambda: FrontEnd(self), sock=listener)

    def set_stage(self, stage: str) -> None:
        """Reports the stage of the start. Thread-safe."""
        self._loop.call_soon_threadsafe(self._report, "stage", stage)

    def set_loaded(self, loaded: Loaded) -> None:
        """Reports the loaded model. From now on, front ends may send rows."""
        encoder, queues = loaded
        facts = ModelFacts(
            encoder.info, encoder.scale, encoder.bias, encoder.directory, tuple(encoder.preprocessor.shape)
        )
        self._towers = {IMAGE: (queues.images, facts.image_shape), TEXT: (queues.texts, (facts.info.context_length,))}
        self._loop.call_soon_threadsafe(self._report, "ready", facts.to_message())  # after the stages

    def tower(self, name: str) -> tuple[Queue, tuple[int, ...]]:
        """Returns a tower's queue, and the shape of its rows."""
        return self._towers[name]

    def _report(self, *state: object) -> None:
        self.state = state
        for front_end in self.front_ends:
            front_end.send(*state)
