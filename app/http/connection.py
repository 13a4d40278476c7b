"""HTTP/1.1 on one connection: what a head and framing may not exceed, and for how long anyone is waited for."""

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
MAX_USER_TIMEOUT_MS = 2**31 - 1  # that the kernel takes


class LingeringClose:
    """The connection as an answer sees it: amid a body it ends a little later, so that the answer is read.

    Ended at once, it is reset while the client still sends, and Node.js then shows no answer. Nothing more is read.
    """

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        self._cycle = cycle
        self._loop = loop
        self._transport = cycle.transport
        self.write = self._transport.write
        self.is_closing = self._transport.is_closing
        self.waits = False

    def close(self) -> None:
        """Ends the connection, now or soon."""
        if not self._cycle.more_body:
            self._transport.close()
        elif not self.waits:
            self.waits = True
            self._transport.pause_reading()
            self._loop.call_later(LINGER_S, self._transport.close)


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with our form for what is malformed, and a bound on the time and the bytes of what is no body.

    Args:
        timeout_s: How long a head may take to arrive, and how long nothing of an answer may be taken.
    """

    def __init__(self, *args: Any, timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout_s = timeout_s
        self._framing_bytes = 0  # that have come since a head has ended or a piece of a body has come
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Starts to wait for the first head, and bounds the wait for a client that takes nothing of its answer.

        Only the kernel, which holds megabytes of an answer, knows what is taken. Linux can be told.
        """
        super().connection_made(transport)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            timeout_ms = math.ceil(min(self._timeout_s * 1000, MAX_USER_TIMEOUT_MS))
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        self._start_head_timer()

    def on_message_begin(self) -> None:
        """Starts to wait for the next head, on a connection that is kept."""
        super().on_message_begin()
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Parses what has come, and refuses a head that does not end, and a body that is all framing."""
        if self.timeout_keep_alive_task:  # what has come may be an empty line, with which no head begins
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
        """Takes a field of the head; those of a trailer are nobody's, and would grow without a bound."""
        if self._head_timer:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stops waiting: the head is complete."""
        if self.parser.should_upgrade():
            return  # it will come again, without that
        self._framing_bytes = 0
        self._stop_head_timer()
        super().on_headers_complete()
        self._closing = LingeringClose(self.cycle, self.loop)
        self.cycle.transport = self._closing  # type: ignore[assignment]  # it has what an answer uses

    def on_response_complete(self) -> None:
        """Goes on to the next request, unless this one was the last."""
        if self._closing.waits:
            self.server_state.total_requests += 1
        else:
            super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a piece of the body."""
        self._framing_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request, unless it will come again."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

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

    def _feed(self, data: bytes) -> bytes:
        """Parses, and returns what is left to parse: what follows a wish for another protocol."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as wish:
            self._refuse_upgrade()
            return b"" if self.transport.is_closing() else data[wish.args[0] :]
        return b""

    def _refuse_upgrade(self) -> None:
        """Takes a request that wishes for another protocol as the plain one that it also is (RFC 9110, 7.8).

        Java's client wishes for HTTP/2 with every request. The parser has left the body to that protocol, so another
        parser is given the same head without the wish, and then the body.
        """
        if (method := self.parser.get_method()) == b"CONNECT":
            self.send_400_response("This is no proxy.")
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
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
