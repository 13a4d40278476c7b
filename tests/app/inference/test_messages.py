import asyncio
import socket
from typing import Any

import pytest

from app.inference.messages import Connection

pytestmark = pytest.mark.anyio


class Receiver(Connection):
    """Keeps the messages, until a number of them has come or the connection is lost."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.messages: list[list[Any]] = []
        self.expected = expected
        self.done = asyncio.Event()
        self.lost = asyncio.Event()

    def receive(self, message: list[Any]) -> None:
        self.messages.append(message)
        if len(self.messages) == self.expected:
            self.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def connected(expected: int) -> tuple[Receiver, Receiver]:
    loop = asyncio.get_running_loop()
    ends = socket.socketpair()
    first, second = Receiver(0), Receiver(expected)
    for end, connection in zip(ends, (first, second), strict=True):
        await loop.create_connection(lambda connection=connection: connection, sock=end)
    return first, second


async def test_messages_arrive_whole_and_in_order_whatever_their_size():
    first, second = await connected(3)
    sent = [["rows", "image", 0, [b"\x00" * 2_000_000, b"\x01"]], ["cancel", 1], ["stage", "übersetzt"]]
    for message in sent:
        first.send(*message)
    await second.done.wait()
    assert second.messages == sent
    first.close()
    await second.lost.wait()


async def test_after_the_other_side_is_gone_sending_does_nothing():
    first, second = await connected(1)
    second.close()
    await first.lost.wait()
    first.send("cancel", 1)


async def test_what_is_not_a_message_ends_the_connection():
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    receiver = Receiver(1)
    await loop.create_connection(lambda: receiver, sock=theirs)
    loop.set_exception_handler(lambda _loop, _context: None)  # it logs the broken message
    await loop.sock_sendall(ours, b"\xc1")  # a byte that msgpack never uses
    await receiver.lost.wait()
    assert receiver.messages == []
    ours.close()
