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
from urllib.parse import urlsplit

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import InvalidRequest
from app.http.openai_errors import is_openai_path, openai_error
from app.http.problems import MEDIA_TYPE

MAX_HEAD_BYTES = 65_536
MAX_USER_TIMEOUT_MS = 2**31 - 1  # the largest that the kernel accepts
# The kernel reports a body in pieces of this size, or when it is complete. httpx's AsyncClient sends each field of a
# form separately: 1,000 of them would wake the event loop a thousand times.
MAX_PIECE_BYTES = 65_536
# What is read and discarded of a refused request, and for how long, before its connection is closed.
MAX_DISCARDED_BYTES = 50_000_000
MAX_DISCARD_S = 30.0


class ResponseTransport:
    """The transport of a response. It delays closing while the request body is still arriving."""

    def __init__(self, connection: "Connection", cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle

    def write(self, data: bytes) -> None:
        """Sends bytes, unless the connection is closing."""
        if not self.is_closing():
            self._connection.transport.write(data)

    def is_closing(self) -> bool:
        """Returns whether nothing more can be sent."""
        return self._connection.discards or self._connection.transport.is_closing()

    def close(self) -> None:
        """Closes the connection, at once or when the client has read the response."""
        if self._cycle.more_body:
            self._connection.discard()
        else:
            self._connection.transport.close()


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with limits on headers and framing, and with problems (RFC 9457) for malformed requests.

    Args:
        timeout_s: How long headers may take to arrive, and how long a client may read nothing of a response.
        root_path: The prefix of a proxy.
    """

    def __init__(self, *args: Any, timeout_s: float, root_path: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout_s, self._root_path = timeout_s, root_path
        self.url = b""  # also before the first request
        self._framing_bytes = 0  # received since the last header or piece of a body
        self._missing_bytes = 0  # of a body whose length is known
        self._awaited_bytes = 1  # what the kernel waits for before it reports them
        self._head_timer: asyncio.TimerHandle | None = None
        self._discard_timer: asyncio.TimerHandle | None = None
        self._discarded_bytes = 0

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
        if self.discards:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.close()
            return
        if self.timeout_keep_alive_task:  # perhaps only an empty line, which does not begin a request
            self._start_head_timer()
        self._unset_keepalive_if_required()
        self._framing_bytes += len(data)
        try:
            while data:
                data = self._feed(data)
        except httptools.HttpParserInvalidURLError:
            self.send_400_response("The URL is not valid. Send text in it as UTF-8, percent-encoded.")
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
        if self._framing_bytes > MAX_HEAD_BYTES and not self.discards:
            part = "head" if self._head_timer else "chunk extensions or trailers"
            self.send_400_response(f"The request's {part} is larger than {MAX_HEAD_BYTES:,} bytes.")
        self._await_bytes(0 if self.discards else self._missing_bytes)

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
        lengths = [value for name, value in self.headers if name == b"content-length"]
        self._missing_bytes = int(lengths[0]) if lengths else 0  # the parser has checked it
        self.cycle.transport = ResponseTransport(self, self.cycle)  # type: ignore[assignment]  # has what it needs

    def on_response_complete(self) -> None:
        """Continues with the next request, unless the connection is closing."""
        if self.discards:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Adds a piece of the body."""
        self._framing_bytes = 0
        self._missing_bytes -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the request, unless its headers come again."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops waiting."""
        self._stop_head_timer()
        if self._discard_timer:
            self._discard_timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Closes the connection, after the response in progress."""
        if self.discards:
            self.transport.close()
        else:
            super().shutdown()

    @property
    def discards(self) -> bool:
        """Whether the last response has ended, and what the client still sends is discarded."""
        return self._discard_timer is not None

    def discard(self) -> None:
        """Ends the last response, and discards what the client still sends until it closes the connection.

        If the connection closed at once, a client that still sends would get a reset, and perhaps lose the response:
        of 40 uploads of 15 MB that were refused with 401, Java's HttpClient lost 10 in this way.
        """
        if self.discards or self.transport.is_closing():
            return
        self._stop_head_timer()
        self.transport.write_eof()
        self.flow.resume_reading()
        self._discard_timer = self.loop.call_later(min(self._timeout_s, MAX_DISCARD_S), self.transport.close)
        if self.cycle and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """Sends an error for bytes that are not a valid HTTP request."""
        error, request_id = InvalidRequest(msg), uuid.uuid4().hex
        is_openai = is_openai_path(path_of(self.url.decode("latin-1")).removeprefix(self._root_path))
        body = json.dumps(openai_error(error) if is_openai else error.problem(request_id)).encode()
        media_type = "application/json" if is_openai else MEDIA_TYPE
        head = (
            f"HTTP/1.1 400 Bad Request\r\nContent-Type: {media_type}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Id: {request_id}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.discard()

    def _await_bytes(self, count: int) -> None:
        """Has the kernel report data only when `count` bytes, at most `MAX_PIECE_BYTES`, have arrived, or the end."""
        count = min(max(count, 1), MAX_PIECE_BYTES)
        if count != self._awaited_bytes and not self.transport.is_closing():
            self._awaited_bytes = count
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    def _feed(self, data: bytes) -> bytes:
        """Parses bytes. Returns those that follow the headers of a request for an upgrade."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade()
            return b"" if self.discards else data[upgrade.args[0] :]
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


def path_of(target: str) -> str:
    """Returns the path of a request's target, which may be a whole URL, also a wrong one."""
    try:
        return urlsplit(target).path
    except ValueError:
        return target
