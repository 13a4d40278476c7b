"""The HTTP server around the app: signals and the drain, and what a request's head may not exceed.

SIGTERM   not ready at once, still served for the drain, then what is under way is answered, exit 0
SIGINT    the same without the drain
a second  exit at once, 128 + the signal
"""

import asyncio
import json
import math
import os
import signal
import time
import uuid
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.config import Settings
from app.encoder import Encoder
from app.errors import MEDIA_TYPE, InvalidRequest
from app.main import create_app
from app.tracing import Tracing

MAX_HEAD_BYTES = 65_536


def serve(settings: Settings, encoder: Encoder | None = None, tracing: Tracing | None = None) -> int:
    """Serves until told to stop, and returns the exit status: 1 if there is nothing to serve with, any more or yet."""
    app = create_app(settings, encoder, lambda: server.fail(), tracing)  # noqa: PLW0108 (made next)
    server = Server(app, settings)
    server.run()
    if app.state.engine.computing:
        # A load under way, or a device that is stuck. The interpreter's end would abort a thread inside TensorFlow.
        os._exit(int(server.failed))
    return int(server.failed)


class Server(uvicorn.Server):
    """uvicorn, with a drain between the signal and the end."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            settings.host,
            settings.port,
            http=partial(GuardedProtocol, head_timeout_s=settings.body_timeout_s),  # type: ignore[arg-type]  # a factory will do
            ws="none",
            # Logging is configured, and there is one line a request, by `telemetry`.
            log_config=None,
            access_log=False,
            server_header=False,
            # Longer than any request may take; what is left then has its deadline behind it.
            timeout_graceful_shutdown=math.ceil(settings.request_timeout_s) + 1,
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
        self._app.state.engine.draining = True
        # Whoever keeps a connection should go elsewhere. The first is copied into the second once a second.
        for headers in (self.config.encoded_headers, self.server_state.default_headers):
            headers.append((b"connection", b"close"))
        drains = sig == signal.SIGTERM and self._app.state.engine.loaded
        self._exit_at_s = time.monotonic() + (self._drain_s if drains else 0)

    async def on_tick(self, counter: int) -> bool:
        """Returns whether to stop accepting; uvicorn asks ten times a second."""
        if self._exit_at_s is not None and time.monotonic() >= self._exit_at_s:
            self.should_exit = True
        return await super().on_tick(counter)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with our form for what is malformed, and a bound on the time and the bytes of what is no body."""

    def __init__(self, *args: Any, head_timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_timeout_s = head_timeout_s
        self._framing_bytes = 0  # that have come since a head has ended or a piece of a body has come
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts to wait for the first head."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self._head_timeout_s, transport.close)

    def on_message_begin(self) -> None:
        """Starts to wait for the next head, on a connection that is kept."""
        super().on_message_begin()
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._head_timeout_s, self.transport.close)

    def data_received(self, data: bytes) -> None:
        """Parses what has come, and refuses a head that does not end, and a body that is all framing."""
        self._framing_bytes += len(data)
        super().data_received(data)
        if self._framing_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            part = "head" if self._head_timer else "chunk extensions or trailers"
            self.send_400_response(f"The request's {part} is larger than {MAX_HEAD_BYTES:,} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a field of the head; those of a trailer are nobody's, and would grow without a bound."""
        if self._head_timer:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stops waiting: the head is complete."""
        self._framing_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a piece of the body."""
        self._framing_bytes = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting: nobody is there."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP request as a problem, like every other failure."""
        problem = InvalidRequest(msg).problem(request_id := uuid.uuid4().hex)
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None
