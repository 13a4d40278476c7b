"""Messages between the processes of one service, over a local socket: lists of plain values in msgpack.

From a front end to the device process:

    ["rows", tower, id, [row, ...]]     compute rows; the first has this id, the next ones count on
    ["cancel", id]                      the caller of a row is gone

From the device process to a front end:

    ["stage", text]                     the stage of the start
    ["ready", facts]                    the model is loaded; see `app.inference.model_facts`
    ["results", [[id, row, queue_s, compute_s], ...]]
    ["failed", [[id, reason], ...]]     rows that could not be computed
    ["refused", [id, ...]]              rows for which there was no place in the queue

A row is its array's bytes: uint8 of an image, int32 of a text, float32 of an embedding.
"""

import asyncio
from abc import abstractmethod
from typing import Any

import msgpack
import numpy as np

from app.inference.device import IMAGE, TEXT

ROW_DTYPES: dict[str, np.dtype[Any]] = {IMAGE: np.dtype(np.uint8), TEXT: np.dtype(np.int32)}
# Of one message: 2,000 texts of 64 tokens are 0.5 MB, an image of 512 x 512 is 0.8 MB.
MAX_BYTES = 2**30


class Connection(asyncio.Protocol):
    """One end of a connection."""

    def __init__(self) -> None:
        self._unpacker = msgpack.Unpacker(max_buffer_size=MAX_BYTES)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = transport  # type: ignore[assignment]  # a stream's

    def data_received(self, data: bytes) -> None:
        """Passes on the messages that are complete."""
        self._unpacker.feed(data)
        for message in self._unpacker:
            self.receive(message)

    @abstractmethod
    def receive(self, message: list[Any]) -> None:
        """Treats a message."""

    def send(self, *message: object) -> None:
        """Sends a message. After the connection is lost, it does nothing."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(msgpack.packb(message))

    def close(self) -> None:
        """Closes the connection."""
        if self._transport:
            self._transport.close()
