"""What a request may not exceed, checked before anything is parsed: body bytes. Pure ASGI.

A declared length is refused before the body is read; an undeclared one (chunked) is counted as it arrives, because
neither the framework nor the server bounds a body.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge, error_response


class BodyLimit:
    """ASGI middleware that lets no more than `max_body_bytes` of a body through.

    Args:
        app: The app behind it, which must answer a `BodyTooLarge` that its `receive` raises.
        max_body_bytes: The largest body.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared_bytes = Headers(scope=scope).get("content-length", "0")
        if declared_bytes.isdecimal() and int(declared_bytes) > self.max_body_bytes:
            scope["state"]["facts"]["error_type"] = BodyTooLarge.code
            response = error_response(self._too_large(), scope["state"]["request_id"])
            await response(scope, receive, send)
            return

        received_bytes = 0

        async def counted() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self.max_body_bytes:
                raise self._too_large()
            return message

        await self.app(scope, counted, send)

    def _too_large(self) -> BodyTooLarge:
        detail = f"The body is larger than the {self.max_body_bytes:,} bytes that this service accepts."
        # The rest of the body is still on its way; it must not be taken for the next request.
        return BodyTooLarge(detail, headers={"Connection": "close"})
