"""A running service: real sockets, a fake encoder."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from app.config import Settings
from app.main import create_app
from app.tracing import Tracing
from tests.fakes import FakeEncoder

Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def serve(
    encoder: FakeEncoder | None = None, *, wait: bool = True, tracing: Tracing | None = None, **settings: Any
) -> Iterator[httpx.Client]:
    """Runs the service on a free port; `wait` for it to be ready."""
    app = create_app(Settings(**settings), encoder or FakeEncoder(), tracing=tracing)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, ws="none"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from here on a client is queued, not refused
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        host, port = listener.getsockname()
        try:
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=30) as client:
                while wait and client.get("/health/ready").status_code != 200:
                    pass
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def running() -> Running:
    """Starts services: `with running(encoder, max_labels=3) as client`."""
    return serve


@pytest.fixture(scope="module")
def encoder() -> FakeEncoder:
    """The encoder behind `client`."""
    return FakeEncoder()


@pytest.fixture(scope="module")
def client(running: Running, encoder: FakeEncoder) -> Iterator[httpx.Client]:
    """A client of a service with the default settings."""
    with running(encoder) as client:
        yield client


@pytest.fixture
def raw(client: httpx.Client) -> Callable[[bytes], tuple[int, dict[str, str], Any]]:
    """Sends bytes as they are, for what no HTTP client would send; returns status, headers and JSON body."""

    def send(request: bytes) -> tuple[int, dict[str, str], Any]:
        with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30) as connection:
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers, json.loads(body)

    return send
