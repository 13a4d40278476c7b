"""Limits on a request's body, before anything is parsed: its encoding, its size and the time it may take. Pure ASGI.

Neither the framework nor the server limits a body, and the framework parses a form before it calls dependencies. Here a
declared length is refused before the body is read, an undeclared one (chunked) is counted as it arrives, and a slow
body is cut off.
"""

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTimeout, BodyTooLarge, ServiceError, UnsupportedMediaType
from app.http.problems import send_error
from app.inference.admission import Admission


class BodyLimits:
    """ASGI middleware that lets requests pass for whose body there is room and time.

    Args:
        app: The next app, which must answer a `ServiceError` that its `receive` raises.
        admission: Counts the bytes of all bodies until their requests are answered.
        max_body_bytes: The largest body.
        body_timeout_s: The time in which a body must arrive.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission, max_body_bytes: int, body_timeout_s: float) -> None:
        self.app = app
        self.admission = admission
        self.max_body_bytes = max_body_bytes
        self.body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        received_bytes = 0
        complete = not has_body(headers)
        deadline_s = asyncio.get_running_loop().time() + self.body_timeout_s

        async def receive_counted() -> Message:
            nonlocal received_bytes, complete
            if complete:  # the next message is the client's disconnect
                return await receive()
            try:
                async with asyncio.timeout_at(deadline_s):
                    message = await receive()
            except TimeoutError:
                raise BodyTimeout(f"The body did not arrive within {self.body_timeout_s:g} s.") from None
            piece_bytes = len(message.get("body", b""))
            if received_bytes + piece_bytes > self.max_body_bytes:
                raise self.too_large()
            self.admission.hold(piece_bytes)
            received_bytes += piece_bytes
            complete = not message.get("more_body", False)
            return message

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not complete:
                # The rest of the body is still arriving, and must not be read as the next request.
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            if not complete:
                self.check_headers(headers)
            await self.app(scope, receive_counted, send_closing)
        except ServiceError as error:
            await send_error(error, scope, receive, send_closing)
        finally:
            self.admission.release(received_bytes)

    def check_headers(self, headers: Headers) -> None:
        """Raises a ServiceError if the headers say that the body cannot be accepted."""
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("A compressed body is not accepted. Send it without Content-Encoding.")
        declared = headers.get("content-length", "")
        declared_bytes = int(declared) if declared.isdecimal() else 0
        if declared_bytes > self.max_body_bytes:
            raise self.too_large()
        self.admission.check(declared_bytes)

    def too_large(self) -> BodyTooLarge:
        """Returns the error for a body that is too large."""
        return BodyTooLarge(f"The body is larger than the {self.max_body_bytes:,} bytes that this service accepts.")


def has_body(headers: Headers) -> bool:
    """Returns whether a request with these headers has a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
