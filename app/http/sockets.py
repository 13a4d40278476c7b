"""The sockets that the service listens on, and the setting to change if an address cannot be used."""

import errno
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from app.settings import PREFIX, SettingsError

ALL_IPV6 = "::"
NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def open_sockets(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Returns a socket for each address of the hosts, all bound to one port.

    `::` is all addresses of IPv6 and of IPv4, unless one of IPv4 is listed too.

    Raises:
        SettingsError: The port is in use or not permitted, or a host is not an address of this machine.
    """
    addresses = dict.fromkeys((host, *found) for host in hosts for found in resolved(host))
    dual_stack = all(family == socket.AF_INET6 for _, family, _ in addresses)
    sockets: list[socket.socket] = []
    with ExitStack() as after_failure:
        for host, family, address in addresses:
            ipv4_too = dual_stack and address[0] == ALL_IPV6
            try:
                opened = bound(family, (address[0], port, *address[2:]), ipv4_too)
            except OSError as error:
                # A name such as localhost has an IPv6 address even where IPv6 is off.
                others = any(name == host and other != address for name, _, other in addresses)
                if others and error.errno in NO_SUCH_ADDRESS:
                    continue
                raise SettingsError(address_fault(host, port, error)) from None
            after_failure.callback(opened.close)
            sockets.append(opened)
            port = opened.getsockname()[1]  # 0 is a free port, the same for all addresses
        if not sockets:
            raise SettingsError(f"{PREFIX}HOST: {','.join(hosts)!r} is not an address of this machine")
        after_failure.pop_all()
    return sockets


def resolved(host: str) -> list[tuple[int, tuple[Any, ...]]]:
    """Returns the family and the socket address of each address of a host.

    Raises:
        SettingsError: The host is not known.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"{PREFIX}HOST: {host!r} is not a known host: {error.strerror}") from None
    return [(family, address) for family, _, _, _, address in found]


def bound(family: int, address: tuple[Any, ...], ipv4_too: bool) -> socket.socket:
    """Returns a socket bound to an address; if `ipv4_too`, an address of IPv6 is also bound for IPv4."""
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not ipv4_too)
        opened.bind(address)
    except OSError:
        opened.close()
        raise
    return opened


def address_fault(host: str, port: int, error: OSError) -> str:
    """Returns what is wrong with an address, with the setting to change."""
    if error.errno == errno.EADDRINUSE:
        return f"{PREFIX}PORT: port {port} of {host} is already in use by another process"
    if error.errno == errno.EACCES:
        return f"{PREFIX}PORT: this user may not listen on port {port}; choose one above 1023"
    return f"{PREFIX}HOST: {host!r} is not an address of this machine: {error.strerror}"
