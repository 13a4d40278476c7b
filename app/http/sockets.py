"""The sockets that the service listens on, and the setting to change if an address cannot be used."""

import errno
import socket

from app.settings import PREFIX, SettingsError

NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def open_sockets(host: str, port: int) -> list[socket.socket]:
    """Returns a socket for each address of the host, bound to the port.

    Raises:
        SettingsError: The port is in use or not permitted, or the host is not an address of this machine.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise SettingsError(f"{PREFIX}HOST: {host!r} is not a known host: {error.strerror}") from None
    sockets: list[socket.socket] = []
    failures: list[OSError] = []
    for family, _, _, _, address in dict.fromkeys(addresses):
        try:
            sockets.append(bound(family, address))
        except OSError as error:
            failures.append(error)
    # A name such as localhost has an IPv6 address even where IPv6 is off.
    fatal = [error for error in failures if not (sockets and error.errno in NO_SUCH_ADDRESS)]
    if fatal:
        for opened in sockets:
            opened.close()
        raise SettingsError(address_fault(host, port, fatal[0]))
    return sockets


def bound(family: int, address: object) -> socket.socket:
    """Returns a socket bound to an address."""
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)  # type: ignore[arg-type]  # an address of this family, by getaddrinfo
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
