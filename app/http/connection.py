"""HTTP/1.1 on one connection: limits on the size of headers and chunk framing, and on how long to wait for them.

uvicorn's h11 protocol needs fewer of these overrides, but more of the event loop: 2.79 ms instead of 2.64 for a form of
10 labels, 88.8 instead of 77.3 for one of 1,000 (`benchmarks/event_loop.py`, two cores).
"""

import asyncio
import json
import math
import socket
import uuid
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import InvalidRequest
from app.http.problems import MEDIA_TYPE

MAX_HEAD_BYTES = 65_536
LINGER_S = 0.2
MAX_USER_TIMEOUT_MS = 2**31 - 1  # the largest that the kernel accepts


class LingeringClose:
    """The transport of a response. It delays closing while the request body is still arriving.

    If the connection closed at once, the client would get a reset while it still sends, and Node.js would then not show
    the response. No more of the body is read.
    """

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        self._cycle = cycle
        self._loop = loop
        self._transport = cycle.transport
        self.write = self._transport.write
        self.is_closing = self._transport.is_closing
        self.lingers = False

    def close(self) -> None:
        """Closes the connection, at once or soon."""
        if not self._cycle.more_body:
            self._transport.close()
        elif not self.lingers:
            self.lingers = True
            self._transport.pause_reading()
            self._loop.call_later(LINGER_S, self._transport.close)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits on headers and framing, and with problems (RFC 9457) for malformed requests.

    Args:
        timeout_s: How long headers may take to arrive, and how long a client may read nothing of a response.
    """

    def __init__(self, *args: Any, timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout_s = timeout_s
        self._framing_bytes = 0  # received since the last header or piece of a body
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Starts to wait for the first headers, and limits the wait for a client that reads nothing.

        Only the kernel, which buffers megabytes of a response, knows what a client has read. Linux has an option for
        it.
        """
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            timeout_ms = math.ceil(min(self._timeout_s * 1000, MAX_USER_TIMEOUT_MS))
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        self._start_head_timer()

    def on_message_begin(self) -> None:
        """Starts to wait for the next headers on a kept connection."""
        super().on_message_begin()
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Parses received bytes, and refuses headers that do not end and bodies that consist of framing."""
        if self.timeout_keep_alive_task:  # perhaps only an empty line, which does not begin a request
            self._start_head_timer()
        self._unset_keepalive_if_required()
        self._framing_bytes += len(data)
        try:
            while data:
                data = self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._framing_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            part = "head" if self._head_timer else "chunk extensions or trailers"
            self.send_400_response(f"The request's {part} is larger than {MAX_HEAD_BYTES:,} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header. Trailers are dropped: nothing reads them, and they could grow without limit."""
        if self._head_timer:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Starts the request."""
        if self.parser.should_upgrade():
            return  # `_ignore_upgrade` feeds the same headers again, without the upgrade
        self._framing_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()
        self._closing = LingeringClose(self.cycle, self.loop)
        self.cycle.transport = self._closing  # type: ignore[assignment]  # it has what a response needs

    def on_response_complete(self) -> None:
        """Continues with the next request, unless the connection is closing."""
        if self._closing.lingers:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Adds a piece of the body."""
        self._framing_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the request, unless its headers come again."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Sends a problem for bytes that are not a valid HTTP request."""
        problem = InvalidRequest(msg).problem(request_id := uuid.uuid4().hex)
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {MEDIA_TYPE}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _feed(self, data: bytes) -> bytes:
        """Parses bytes. Returns those that follow the headers of a request for an upgrade."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return b"" if self.transport.is_closing() else data[upgrade.args[0] :]
        return b""

    def _ignore_upgrade(self) -> None:
        """Treats a request for an upgrade as a plain request, which it also is (RFC 9110, 7.8).

        Java's client requests HTTP/2 with every request. The parser leaves the body to the new protocol, so a new
        parser gets the same headers without the upgrade, and then the body.
        """
        if (method := self.parser.get_method()) == b"CONNECT":
            self.send_400_response("This is not a proxy.")
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._timeout_s, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None
