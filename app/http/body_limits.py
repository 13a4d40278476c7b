"""What a request may not exceed, checked before anything is parsed: its key, its body's bytes and time. Pure ASGI.

Neither the framework nor the server bounds a body, and the framework parses a form before it runs dependencies. So
here, ahead of routing, a wrong key is told by the headers alone, a declared length is refused before the body is
read, an undeclared one (chunked) is counted as it arrives, and a slow one is cut off.
"""

import asyncio
import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTimeout, BodyTooLarge, ServiceError, Unauthorized, UnsupportedMediaType, send_error
from app.inference.admission import Admission

READING = ("GET", "HEAD")  # what public paths are public for: the root is a page for some and an endpoint for others


class Limits:
    """ASGI middleware that lets through what has a valid key and a body for which there is room and time.

    Args:
        app: The app behind it, which must answer a `ServiceError` that its `receive` raises.
        keys: The valid API keys; none: no key is needed.
        public_paths: Paths that are read without a key, with all below them; "/" is the root alone.
        admission: Keeps room for a body until its request is answered.
        max_body_bytes: The largest body.
        body_timeout_s: How long a body may take to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Sequence[str],
        public_paths: Sequence[str],
        admission: Admission,
        max_body_bytes: int,
        body_timeout_s: float,
    ) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.public_paths = public_paths
        self.admission = admission
        self.max_body_bytes = max_body_bytes
        self.body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        received_bytes = 0
        complete = "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        deadline_s = asyncio.get_running_loop().time() + self.body_timeout_s

        async def receive_counted() -> Message:
            nonlocal received_bytes, complete
            if complete:  # what comes now is the client's departure
                return await receive()
            try:
                async with asyncio.timeout_at(deadline_s):
                    message = await receive()
            except TimeoutError:
                raise BodyTimeout(f"The body did not arrive within {self.body_timeout_s:g} s.") from None
            piece_bytes = len(message.get("body", b""))
            if received_bytes + piece_bytes > self.max_body_bytes:
                raise self._too_large()
            self.admission.hold(piece_bytes)
            received_bytes += piece_bytes
            complete = not message.get("more_body", False)
            return message

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not complete:
                # The rest of the body is still on its way, and must not be taken for the next request.
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            self._check_key(scope["method"], scope["path"], headers)
            if not complete:
                self._check_body(headers)
            await self.app(scope, receive_counted, send_closing)
        except ServiceError as error:
            await send_error(error, scope, receive, send_closing)
        finally:
            self.admission.release(received_bytes)

    def _check_key(self, method: str, path: str, headers: Headers) -> None:
        if not self.keys or is_public(method, path, self.public_paths):
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
        # All are compared, each in constant time, so that the time tells nothing about any of them.
        matches = [hmac.compare_digest(key, given.encode("latin-1")) for key in self.keys]
        if any(matches):
            return
        problem = "This API key is not valid." if given else "This service needs an API key."
        detail = f"{problem} Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
        raise Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})

    def _check_body(self, headers: Headers) -> None:
        """Refuses a body for what the headers alone say of it."""
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("A compressed body is not accepted. Send it without Content-Encoding.")
        declared = headers.get("content-length", "")
        declared_bytes = int(declared) if declared.isdecimal() else 0
        if declared_bytes > self.max_body_bytes:
            raise self._too_large()
        self.admission.check(declared_bytes)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body is larger than the {self.max_body_bytes:,} bytes that this service accepts.")


def is_public(method: str, path: str, public_paths: Sequence[str]) -> bool:
    """Returns whether a request needs no key."""
    return method in READING and any(path == public or path.startswith(f"{public}/") for public in public_paths)
