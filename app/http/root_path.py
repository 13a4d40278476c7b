"""The path of a request below the prefix at which a proxy publishes the service, and HEAD as GET. Pure ASGI."""

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.setting_values import Network, path_prefix, split

HEADER = "X-Forwarded-Prefix"


class RootPath:
    """ASGI middleware that removes the prefix from a request's path, and stores it as `root_path` in `scope["state"]`.

    | root path | path             | becomes         |                              |
    |-----------|------------------|-----------------|------------------------------|
    | `/siglip` | `/siglip/docs`   | `/docs`         | the proxy leaves the prefix  |
    | `/siglip` | `/docs`          | `/docs`         | the proxy removes it         |
    | `/siglip` | `/siglip`        | `/`             | GET and HEAD are redirected  |

    A HEAD request becomes a GET request, whose response uvicorn sends without the body.

    Args:
        app: The next app.
        root_path: The prefix, or "".
        trusted_proxies: Where a request may come from to have another prefix, in `X-Forwarded-Prefix`.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, trusted_proxies: Sequence[Network]) -> None:
        self.app = app
        self.root_path = root_path
        self.trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["state"]["root_path"] = prefix = self._forwarded(scope) or self.root_path
        path = scope["path"]
        if prefix and (path == prefix or path.startswith(f"{prefix}/")):
            scope["path"] = path.removeprefix(prefix) or "/"
            if path == prefix and scope["method"] in ("GET", "HEAD"):  # the page's links are relative to a folder
                await RedirectResponse(f"{prefix}/")(scope, receive, send)
                return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> str:
        """Returns the prefix that a trusted proxy sends, or ""; several proxies may each have added a part."""
        if not self.trusted_proxies or not is_trusted(scope["client"], self.trusted_proxies):
            return ""
        given = split(",".join(Headers(scope=scope).getlist(HEADER)))
        try:
            return "".join(map(path_prefix, given))
        except ValueError:
            return ""


def is_trusted(client: tuple[str, int] | None, trusted: Sequence[Network]) -> bool:
    """Returns whether a connection comes from one of these networks. `::ffff:10.0.0.7` is 10.0.0.7."""
    if client is None:
        return False
    address = ip_address(client[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in trusted)
