"""What a browser may do with the answers: security headers on each, and CORS once origins are named. Pure ASGI."""

from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
# FastAPI's page for the contract loads its script and style from here, and starts with a line of script of its own.
DOCS_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src data: https://fastapi.tiangolo.com; "
    "style-src https://cdn.jsdelivr.net; script-src 'unsafe-inline' https://cdn.jsdelivr.net"
)
# Our own page: its scripts, its style, images of the reader's, and this service; no text ever becomes markup or code.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
POLICIES = {"/": PAGE_POLICY, "/docs": DOCS_POLICY}
# What pages of other origins may send and see.
REQUEST_HEADERS = ("Authorization", "Content-Type", "If-Match", "X-API-Key", "X-Request-Id", "X-Request-Timeout-Ms")
ANSWER_HEADERS = ("ETag", "Retry-After", "Server-Timing", "X-Request-Id")


class SecurityHeaders:
    """ASGI middleware that adds the security headers that an answer has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"] in POLICIES:
                    headers["Content-Security-Policy"] = POLICIES[scope["path"]]
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def allow_origins(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Returns the app with its answers open to the pages of these origins; none: to no page."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=REQUEST_HEADERS,
        expose_headers=ANSWER_HEADERS,
    )
