"""API keys, checked by the headers alone, before the body is read. Pure ASGI."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import Forbidden, Unauthorized
from app.http.body_limits import has_body
from app.http.problems import HOW, send_error

CHANGING = ("PUT", "PATCH", "POST", "DELETE")
READING = ("GET", "HEAD")  # public paths are public for these only: "/" is also an API


class Authentication:
    """ASGI middleware that refuses requests without a valid key.

    Args:
        app: The next app.
        keys: The valid API keys; if empty, no key is needed.
        admin_keys: The keys that may change label sets, and everything else; if empty, every request may that has a
            valid key.
        public_paths: Paths that can be read without a key, with everything below them; "/" means the root only.
    """

    def __init__(
        self, app: ASGIApp, *, keys: Sequence[str], admin_keys: Sequence[str] = (), public_paths: Sequence[str]
    ) -> None:
        self.app = app
        self.admin_keys = [key.encode() for key in admin_keys]
        self.keys = [key.encode() for key in keys]
        self.public_paths = public_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self.check(scope["method"], scope["path"], Headers(scope=scope))
            except (Unauthorized, Forbidden) as error:
                if has_body(Headers(scope=scope)):  # the rest of it must not be read as the next request
                    error.headers["Connection"] = "close"
                await send_error(error, scope, receive, send)
                return
        await self.app(scope, receive, send)

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raises Unauthorized or Forbidden if a request has no key for what it does."""
        needs_key = self.keys and not is_public(method, path, self.public_paths)
        needs_admin_key = self.admin_keys and changes_label_sets(method, path)
        if not (needs_key or needs_admin_key):
            return
        # One valid key is enough: a proxy may add another.
        given = [*headers.getlist("x-api-key"), *map(bearer_token, headers.getlist("authorization"))]
        is_admin, is_known = has_one_of(given, self.admin_keys), has_one_of(given, self.keys)
        if needs_key and not (is_admin or is_known):
            problem = "This API key is not valid." if any(given) else "This service needs an API key."
            raise Unauthorized(f"{problem} {HOW}", headers={"WWW-Authenticate": "Bearer"})
        if needs_admin_key and not is_admin:
            raise Forbidden(f"Label sets are only changed with an admin key. {HOW}")


def has_one_of(given: Sequence[str], keys: Sequence[bytes]) -> bool:
    """Returns whether one of the given keys is valid.

    All are compared, each in constant time, so that the time reveals nothing about any of them.
    """
    matches = [hmac.compare_digest(key, sent.encode("latin-1")) for key in keys for sent in given]
    return any(matches)


def bearer_token(authorization: str) -> str:
    """Returns the token of an `Authorization` header, or "" if it has another scheme, such as a proxy's Basic."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_public(method: str, path: str, public_paths: Sequence[str]) -> bool:
    """Returns whether a request needs no key."""
    return method in READING and any(path == public or path.startswith(f"{public}/") for public in public_paths)


def changes_label_sets(method: str, path: str) -> bool:
    """Returns whether a request is one that only admins may send. It may be a preview, which stores nothing."""
    return method in CHANGING and (path == "/label-sets" or path.startswith("/label-sets/"))
