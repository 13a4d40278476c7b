"""How the text of a setting becomes its value. Errors are `ValueError`s whose messages say what to write instead."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

Network = IPv4Network | IPv6Network

ORIGIN = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^][\s"'*,/?#@:]+|\[[0-9a-f:.]+\])(?::(?P<port>\d+))?(?P<path>/.*)?""",
    re.IGNORECASE,
)
DEFAULT_PORTS = {"http": "80", "https": "443"}
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")


def split(given: str) -> list[str]:
    """Returns the parts of a comma-separated text."""
    return [part for piece in given.split(",") if (part := piece.strip())]


def split_text(given: object) -> object:
    """Returns a text split at its commas, and anything else unchanged."""
    return split(given) if isinstance(given, str) else given


def without_slash(path: str) -> str:
    """Returns a path without a slash at its end: `/health/` means `/health`.

    Raises:
        ValueError: It does not begin with a slash.
    """
    if not path.startswith("/"):
        raise ValueError(f"a path begins with /, such as /{path}")
    return path.rstrip("/") or "/"


def path_prefix(given: str) -> str:
    """Returns the path below which a proxy publishes the service, without a slash at its end; "" is none.

    Raises:
        ValueError: It is not a path of plain segments.
    """
    prefix = given.rstrip("/")
    if prefix and not PREFIX.fullmatch(prefix):
        raise ValueError("a path prefix is a path of letters, digits and . _ ~ -, such as /siglip")
    return prefix


def origin(given: str) -> str:
    """Returns an origin. It is compared with what browsers send, so nothing else could ever match.

    | given                     |                                       |
    |---------------------------|---------------------------------------|
    | `https://a.example`       | valid                                 |
    | `https://a.example/`      | error: write https://a.example        |
    | `https://A.example:443`   | error: write https://a.example        |
    | `["https://a.example"]`   | error: without brackets and quotes    |
    | `*`, `null`               | valid: any origin, and a local file's |

    Raises:
        ValueError: A browser would not send this origin.
    """
    if given in ("*", "null"):
        return given
    parts = ORIGIN.fullmatch(given)
    if not parts:
        raise ValueError(
            "an origin is scheme://host or scheme://host:port, such as https://example.com; several are separated by "
            "commas, without brackets, quotes and wildcards"
        )
    scheme, host, port = parts["scheme"].lower(), parts["host"].lower(), parts["port"]
    if not host.isascii():
        host = host.encode("idna").decode()
    sent = f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")
    if given != sent:
        raise ValueError(f"browsers do not send this origin; write {sent}")
    return given


def network(given: object) -> object:
    """Returns the network that a text names, and anything else unchanged; an address is a network of one.

    Raises:
        ValueError: It is not an address or a network.
    """
    if not isinstance(given, str):
        return given
    try:
        return ip_network(given, strict=False)
    except ValueError:
        raise ValueError("write addresses or networks, such as 10.0.0.7 or 10.0.0.0/8") from None


def key_fault(key: str) -> str | None:
    """Returns what is in an API key by mistake, so that no client could send it, or None."""
    if in_quotes(key):
        return "a key has quotes around it; write it without them"
    if invisible := next((character for character in key if not character.isprintable()), None):
        name = "a byte order mark" if invisible == "\ufeff" else "an invisible character"
        return f"a key contains {name} (U+{ord(invisible):04X}); write the keys as plain UTF-8 text"
    return None


def read_keys(place: str, given: str | None, file: Path | None) -> list[str]:
    """Returns all keys of a setting, from its text and from its file.

    Args:
        place: The name of the setting.
        given: Comma-separated keys.
        file: A file with one key per line.

    Raises:
        ValueError: The file cannot be read, a key is not one that a client can send, or there is a text or a file but
            no key.
    """
    found = [(place, key) for key in split(given)] if given else []
    if file:
        shown = f"{place}_FILE {file}"
        try:
            lines = file.expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{shown} cannot be read: {error}") from None
        found += [(f"{shown}, line {n}", key) for n, line in enumerate(lines, 1) if (key := line.strip())]
    if not found and (given or file):
        raise ValueError(f"{place} or {place}_FILE is set, but has no key")
    for where, key in found:
        if fault := key_fault(key):
            raise ValueError(f"{where}: {fault}")
    return [key for _, key in found]


def in_quotes(text: str) -> bool:
    """Returns whether a text has quotes around it, which a shell would have removed."""
    return len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"


Words = BeforeValidator(split_text)
CommaSeparated = Annotated[list[str], NoDecode, Words]
PublicPaths = Annotated[list[Annotated[str, AfterValidator(without_slash)]], NoDecode, Words]
Origins = Annotated[list[Annotated[str, AfterValidator(origin)]], NoDecode, Words]
Networks = Annotated[list[Annotated[Network, BeforeValidator(network)]], NoDecode, Words]
PathPrefix = Annotated[str, AfterValidator(path_prefix)]
Route = Annotated[str, Field(pattern=r"^/[^{}?#\s]*$")]
