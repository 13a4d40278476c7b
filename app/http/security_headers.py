"""Security headers for all responses, and CORS for the configured origins. Pure ASGI."""

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
# Swagger UI: its scripts, its style, the images in that style, and requests to this service.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The web page uses its own scripts and style, the user's images, and this service. Text never becomes markup or code.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
POLICIES = {"/": PAGE_POLICY, "/docs": DOCS_POLICY}
# What pages of other origins may send: what the service reads, and what huggingface.js and tracing add.
REQUEST_HEADERS = (
    *("Accept", "Authorization", "Baggage", "Content-Type", "If-Match", "If-None-Match"),
    *("Inference-Header-Content-Length", "Traceparent", "Tracestate", "User-Agent", "X-Amzn-Trace-Id", "X-API-Key"),
    *("X-HF-Bill-To", "X-Request-Id", "X-Request-Timeout-Ms"),
)
RESPONSE_HEADERS = (
    *("ETag", "Inference-Header-Content-Length", "Retry-After", "Server-Timing", "X-Request-Id", "X-SigLIP-Warnings"),
)


class SecurityHeaders:
    """ASGI middleware that adds the security headers which a response has not set."""

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
    """Returns the app with CORS for these origins, or the app itself if there are none."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=REQUEST_HEADERS,
        expose_headers=RESPONSE_HEADERS,
    )
