"""Bytes to and from a process, for what no HTTP client would send."""

import socket
from contextlib import suppress


def address(process) -> tuple[str, int]:
    return process.client.base_url.host, process.client.base_url.port


def head(length: int, *more: str) -> bytes:
    lines = ["POST /classify?labels=cat HTTP/1.1", "Host: x", "Content-Type: image/png", f"Content-Length: {length}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    answer = b""
    with suppress(ConnectionResetError):  # after the answer, where not all that was sent has been read
        while piece := connection.recv(65_536):
            answer += piece
    return answer
