"""Raw bytes to and from a server in a separate process, for requests that an HTTP client would not send."""

import socket
from contextlib import suppress


def address(process) -> tuple[str, int]:
    return process.client.base_url.host, process.client.base_url.port


def head(length: int, *more: str) -> bytes:
    lines = ["POST /classify?labels=cat HTTP/1.1", "Host: x", "Content-Type: image/png", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    response = b""
    with suppress(ConnectionResetError):  # the server did not read the whole request
        while piece := connection.recv(65_536):
            response += piece
    return response
