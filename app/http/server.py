"""The HTTP server around the app: signals and the drain.

SIGTERM   not ready at once, still served for the drain, then what is under way is answered, exit 0
SIGINT    the same without the drain
a second  exit at once, 128 + the signal
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

from app.http.connection import GuardedProtocol
from app.http.sockets import open_sockets
from app.inference.encoder import Encoder
from app.inference.engine import Engine
from app.main import create_app
from app.observability.tracing import Tracing
from app.settings import Settings

log = logging.getLogger("app")


def serve(settings: Settings, encoder: Encoder | None = None, tracing: Tracing | None = None) -> int:
    """Serves until told to stop, and returns the exit status: 1 if there is nothing to serve with, any more or yet.

    Raises:
        SettingsError: The address cannot be listened on.
    """
    sockets = open_sockets(settings.host, settings.port)
    app = create_app(settings, encoder, lambda: server.fail(), tracing)  # noqa: PLW0108 (made next)
    server = Server(app, settings)
    server.run(sockets)
    if app.state.engine.computing:
        # A load under way, or a device that is stuck. The interpreter's end would abort a thread inside TensorFlow.
        os._exit(int(server.failed))
    return int(server.failed)


class Server(uvicorn.Server):
    """uvicorn, with a drain between the signal and the end."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        longest_s = settings.request_timeout_s
        config = uvicorn.Config(
            app,
            settings.host,
            settings.port,
            http=partial(GuardedProtocol, timeout_s=settings.body_timeout_s),  # type: ignore[arg-type]  # a factory will do
            ws="none",
            # Logging is configured, and there is one line a request, by `telemetry`.
            log_config=None,
            access_log=False,
            server_header=False,
            workers=1,  # uvicorn would read WEB_CONCURRENCY
            timeout_keep_alive=settings.keep_alive_s,
            # Longer than any request may take; what is left then has its deadline behind it.
            timeout_graceful_shutdown=None if math.isinf(longest_s) else math.ceil(longest_s) + 1,
        )
        super().__init__(config)
        self.failed = False
        self._app = app
        self._drain_s = settings.drain_s
        self._exit_at_s: float | None = None

    def fail(self) -> None:
        """Ends the process with a failure, when what is under way is answered. On any thread."""
        self.failed = True
        self.should_exit = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the drain on the first signal, and ends the process on the second."""
        if self._exit_at_s is not None:
            os._exit(128 + sig)
        engine: Engine | None = getattr(self._app.state, "engine", None)  # there is none before the lifespan
        if engine:
            engine.draining = True
        # Whoever keeps a connection should go elsewhere. The first is copied into the second once a second.
        for headers in (self.config.encoded_headers, self.server_state.default_headers):
            headers.append((b"connection", b"close"))
        drains = engine is not None and engine.loaded and sig == signal.SIGTERM
        self._exit_at_s = time.monotonic() + (self._drain_s if drains else 0)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and logs where."""
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            log.info("listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)

    async def on_tick(self, counter: int) -> bool:
        """Returns whether to stop accepting; uvicorn asks ten times a second."""
        if self._exit_at_s is not None and time.monotonic() >= self._exit_at_s:
            self.should_exit = True
        return await super().on_tick(counter)
