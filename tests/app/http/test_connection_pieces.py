"""How many pieces of a body reach the app: each one wakes the event loop and all middlewares."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.http.connection import Connection
from tests.app.http.wire import head


@contextmanager
def counting_pieces() -> Iterator[tuple[tuple[str, int], list[int]]]:
    """Runs an app that reads a body. Yields its address, and the sizes of the pieces that it has got."""
    pieces: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "http":
            message = await receive()
            pieces.append(len(message.get("body", b"")))
            if not message.get("more_body"):
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
                return

    config = uvicorn.Config(app, http=partial(Connection, timeout_s=30), lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield listener.getsockname(), pieces
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("count", [1, 1_000])
def test_a_body_that_is_sent_in_many_parts_arrives_in_few_pieces(count):
    part = b"x" * 50
    with counting_pieces() as (at, pieces), socket.create_connection(at, timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):  # the second request on the same connection
            connection.sendall(head(count * len(part)))
            for _ in range(count):
                connection.sendall(part)
                time.sleep(0.0001)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 204")
    assert sum(pieces) == 2 * count * len(part)
    assert len(pieces) <= 8


def test_a_body_larger_than_what_the_kernel_keeps_arrives():
    size = 30_000_000
    with counting_pieces() as (at, pieces), socket.create_connection(at, timeout=30) as connection:
        connection.sendall(head(size) + bytes(size))
        assert connection.recv(65_536).startswith(b"HTTP/1.1 204")
    assert sum(pieces) == size
