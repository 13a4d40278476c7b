"""The HTTP server: uvicorn with our connection class, signal handling and a drain.

SIGTERM        not ready at once; new requests are served until the drain ends, then those in progress finish; exit 0
SIGINT         the same without the drain
second signal  exit at once, with status 128 + the signal's number
"""

import logging
import math
import os
import signal
import socket
import time
from functools import partial
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.http.connection import Connection
from app.inference.engine import Engine
from app.settings import Settings

log = logging.getLogger("app")


class Server(uvicorn.Server):
    """uvicorn, with a drain between the signal and the exit.

    Args:
        app: The service.
        settings: The service's settings.
    """

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        longest_s = settings.request_timeout_s
        connection = partial(Connection, timeout_s=settings.body_timeout_s, root_path=settings.root_path)
        config = uvicorn.Config(
            app,
            http=connection,  # type: ignore[arg-type]  # a factory works too
            ws="none",
            # `app.observability.logs` configures logging, and `app.http.telemetry` logs the requests.
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing reads the client's address, except to compare it with the proxies'
            workers=1,  # otherwise uvicorn reads WEB_CONCURRENCY
            timeout_keep_alive=settings.keep_alive_s,
            # Longer than any request may take.
            timeout_graceful_shutdown=None if math.isinf(longest_s) else math.ceil(longest_s) + 1,
        )
        super().__init__(config)
        self.failed = False
        self._app = app
        self._drain_s = settings.drain_s
        self._exit_at_s: float | None = None

    def fail(self) -> None:
        """Ends the process as failed, after the requests in progress. Thread-safe."""
        self.failed = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the drain at the first signal, and ends the process at the second."""
        if self._exit_at_s is not None:
            os._exit(128 + sig)
        engine: Engine | None = getattr(self._app.state, "engine", None)  # it does not exist before the lifespan starts
        if engine:
            engine.draining = True
        # Clients then reconnect, to another replica. uvicorn copies the first list into the second once a second.
        for headers in (self.config.encoded_headers, self.server_state.default_headers):
            headers.append((b"connection", b"close"))
        drains = engine is not None and engine.loaded and sig == signal.SIGTERM
        self._exit_at_s = time.monotonic() + (self._drain_s if drains else 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to listen, and logs the addresses."""
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)

    async def on_tick(self, counter: int) -> bool:
        """Returns whether to stop; uvicorn calls it ten times a second."""
        if self._exit_at_s is not None and time.monotonic() >= self._exit_at_s:
            self.should_exit = True
        return await super().on_tick(counter)
