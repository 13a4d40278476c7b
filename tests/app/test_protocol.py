"""What never becomes a request, or not by the rules, to a server that is a process of its own."""

import json
import socket
from contextlib import suppress

import pytest

from tests.app.test_server import address, read_all


@pytest.mark.parametrize("start", [b"", b"POST /classify HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_does_not_come_is_not_waited_for(spawn, start):
    process = spawn(body_timeout_s=0.3)
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(start)
        assert read_all(connection) == b""


def test_a_second_request_on_a_connection_has_its_own_time(spawn):
    process = spawn(body_timeout_s=0.3)
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /health/live HTTP/1.1\r\nHo")
        answer = read_all(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 200_000, "The request's head is larger than 65,536 bytes."),
        (b"GET /" + b"x" * 200_000, "The request's head is larger than 65,536 bytes."),
        (b"hello\r\n\r\n", "Invalid HTTP request received."),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "Invalid HTTP request received."),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Invalid HTTP request received."),
    ],
)
def test_what_is_no_request_is_a_problem_too(spawn, sent, message):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(sent)
        headers, _, body = read_all(connection).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert headers.startswith(b"HTTP/1.1 400")
    assert (problem["error_type"], problem["detail"]) == ("invalid_request", message)
    assert problem["request_id"].encode() in headers
    assert process.client.get("/health/live").status_code == 200


CHUNKED = (
    b"POST /embed/text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize("framing", [b"1;" + b"x" * 200_000, b"0\r\n" + b"X: y\r\n" * 50_000])
def test_a_body_that_is_all_framing_is_refused(spawn, framing):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(CHUNKED + framing)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"chunk extensions or trailers is larger than 65,536 bytes" in answer


def test_chunk_extensions_and_trailers_are_ignored(spawn):
    process = spawn()
    body = b'c;a=b;c="d"\r\n{"texts":["a\r\n3\r\n"]}\r\n0\r\nContent-Type: text/plain\r\n\r\n'
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(CHUNKED + body)
        assert read_all(connection).startswith(b"HTTP/1.1 200")
