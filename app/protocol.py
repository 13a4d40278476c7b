"""HTTP/1.1 on one connection: what a head and framing may not exceed, and for how long anyone is waited for."""

import asyncio
import json
import uuid
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import MEDIA_TYPE, InvalidRequest

MAX_HEAD_BYTES = 65_536


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
