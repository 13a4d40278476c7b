"""API keys, checked by the headers alone, before the body is read. Pure ASGI."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Unauthorized
from app.http.body_limits import has_body
from app.http.problems import send_error

READING = ("GET", "HEAD")  # public paths are public for these only: "/" is also an API


class Authentication:
    """ASGI middleware that refuses requests without a valid key.

    Args:
        app: The next app.
        keys: The valid API keys; if empty, no key is needed.
        public_paths: Paths that can be read without a key, with everything below them; "/" means the root only.
    """

    def __init__(self, app: ASGIApp, *, keys: Sequence[str], public_paths: Sequence[str]) -> None:
        self.app = app
        self.keys = [key.encode() for key in keys]
        self.public_paths = public_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.keys and not is_public(scope["method"], scope["path"], self.public_paths):
            headers = Headers(scope=scope)
            try:
                self.check_key(headers)
            except Unauthorized as error:
                if has_body(headers):  # the rest of it must not be read as the next request
                    error.headers["Connection"] = "close"
                await send_error(error, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def check_key(self, headers: Headers) -> None:
        """Raises Unauthorized if a request's headers have no valid key. One is enough: a proxy may add another."""
        given = [*headers.getlist("x-api-key"), *map(bearer_token, headers.getlist("authorization"))]
        # Compared with all keys, each in constant time, so that the time reveals nothing about any of them.
        matches = [hmac.compare_digest(key, sent.encode("latin-1")) for key in self.keys for sent in given]
        if not any(matches):
            problem = "This API key is not valid." if any(given) else "This service needs an API key."
            detail = f"{problem} Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
            raise Unauthorized(detail, headers={"WWW-Authenticate": "Bearer"})


def bearer_token(authorization: str) -> str:
    """Returns the token of an `Authorization` header, or "" if it has another scheme, such as a proxy's Basic."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_public(method: str, path: str, public_paths: Sequence[str]) -> bool:
    """Returns whether a request needs no key."""
    return method in READING and any(path == public or path.startswith(f"{public}/") for public in public_paths)
