"""Fixtures that run the service on real sockets, with a fake encoder."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import pytest

from app.http.server import Server
from app.main import create_app
from app.observability.tracing import Tracing
from app.settings import Settings
from tests.fakes import FakeEncoder

Running = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def serve(
    encoder: FakeEncoder | None = None, *, wait: bool = True, tracing: Tracing | None = None, **settings: Any
) -> Iterator[httpx.Client]:
    """Runs the service on a free port, with a temporary data folder.

    Waits until the service is ready, unless `wait` is false.
    """
    with tempfile.TemporaryDirectory() as data_dir, socket.socket() as listener:
        chosen = Settings(**{"data_dir": data_dir} | settings)
        server = Server(create_app(chosen, encoder or FakeEncoder(), tracing=tracing), chosen)
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from now on, connections are queued and not refused
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        host, port = listener.getsockname()
        try:
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=30) as client:
                while wait and client.get("/health/ready").status_code != 200:
                    time.sleep(0.01)  # lets the service's thread run in the same interpreter
                yield client
        finally:
            server.should_exit = True
            thread.join()


class Process:
    """A process that runs `python -m tests.serve_fake` on a free port, and its log."""

    def __init__(self, behaviour: str, settings: dict[str, Any], variables: dict[str, str]) -> None:
        variables |= {f"SIGLIP_{name.upper()}": str(value) for name, value in settings.items()}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "tests.serve_fake", behaviour],
            env=clean | {"SIGLIP_PORT": "0", "SIGLIP_LOG_FORMAT": "text"} | variables,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log: list[str] = []
        started = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(started,))
        self._reader.start()
        started.wait()
        found = re.search(r"listening on (http://\S+)", "".join(self.log))
        assert found, self.log
        self.client = httpx.Client(base_url=found[1], timeout=30)

    def _read(self, started: threading.Event) -> None:
        assert self.popen.stderr
        for line in self.popen.stderr:
            self.log.append(line)
            if "listening on" in line:
                started.set()
        started.set()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until the condition holds. Fails if the process ends first."""
        while not condition():
            assert self.popen.poll() is None, self.log
            time.sleep(0.01)

    def wait_until_ready(self) -> None:
        self.wait_for(lambda: self.client.get("/health/ready").status_code == 200)

    def wait_until_draining(self) -> httpx.Response:
        """Waits until the service is not ready, and returns that response."""
        responses: list[httpx.Response] = []

        def is_draining() -> bool:
            responses.append(self.client.get("/health/ready"))
            return responses[-1].status_code != 200

        self.wait_for(is_draining)
        return responses[-1]

    def exit_status(self) -> int:
        """Waits until the process ends, and returns its exit status."""
        status = self.popen.wait(60)
        self._reader.join()
        return status

    def exit_after_sigterm(self) -> int:
        """Sends SIGTERM, as an orchestrator does, and returns the exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.exit_status()

    def kill(self) -> None:
        self.client.close()
        self.popen.kill()
        self.exit_status()
        assert self.popen.stderr
        self.popen.stderr.close()


@pytest.fixture
def spawn(tmp_path) -> Iterator[Callable[..., Process]]:
    """Starts the service in separate processes, for example `spawn("slow", drain_s=1)`.

    `tests.serve_fake` lists the behaviours.
    """
    processes = []

    def start(
        behaviour: str = "works", *, wait: bool = True, variables: dict[str, str] | None = None, **settings: Any
    ) -> Process:
        process = Process(behaviour, {"data_dir": tmp_path / "data", "drain_s": 0} | settings, variables or {})
        processes.append(process)
        if wait:
            process.wait_until_ready()
        return process

    yield start
    for process in processes:
        process.kill()


@pytest.fixture(scope="session")
def running() -> Running:
    """Runs the service in a thread: `with running(encoder, max_labels=3) as client`."""
    return serve


@pytest.fixture(scope="module")
def encoder() -> FakeEncoder:
    """The encoder of the service that `client` calls."""
    return FakeEncoder()


@pytest.fixture(scope="module")
def client(running: Running, encoder: FakeEncoder) -> Iterator[httpx.Client]:
    """A client of a service with the default settings."""
    with running(encoder) as client:
        yield client


@pytest.fixture
def raw(client: httpx.Client) -> Callable[[bytes], tuple[int, dict[str, str], Any]]:
    """Sends raw bytes, for requests that an HTTP client would not send.

    Returns the status, the headers and the JSON body.
    """

    def send(request: bytes) -> tuple[int, dict[str, str], Any]:
        with socket.create_connection((client.base_url.host, client.base_url.port or 80), timeout=30) as connection:
            connection.sendall(request)
            response = b""
            while piece := connection.recv(65_536):
                response += piece
        head, _, body = response.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers, json.loads(body)

    return send
