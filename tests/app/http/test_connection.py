"""Incomplete, malformed and slow requests, sent to a server in a separate process."""

import json
import re
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from app.http.connection import path_of
from tests.app.http.wire import address, head, read_all
from tests.app.image_files import encoded, plain_image


@pytest.mark.parametrize("start", [b"", b"POST /classify HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_connection_is_closed_if_the_headers_do_not_arrive_in_time(spawn, start):
    process = spawn(body_timeout_s=0.3)
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(start)
        assert read_all(connection) == b""


def test_the_timeout_applies_to_the_headers_of_a_second_request_too(spawn):
    process = spawn(body_timeout_s=0.3)
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /health/live HTTP/1.1\r\nHo")
        response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 OK") == 1


def test_empty_lines_do_not_keep_a_connection_open(spawn):
    process = spawn(body_timeout_s=0.3)
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        response = b""
        while not response.endswith(b"}"):
            response += connection.recv(65_536)
        connection.sendall(b"\r\n")
        assert read_all(connection) == b""


def test_an_idle_connection_is_kept_open_for_keep_alive_s(spawn):
    request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with (
        socket.create_connection(address(spawn(keep_alive_s=1)), timeout=30) as short,
        socket.create_connection(address(spawn()), timeout=30) as long,
    ):
        long.sendall(request)
        short.sendall(request)
        assert read_all(short).startswith(b"HTTP/1.1 200 OK")  # then the server closes the connection
        long.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert read_all(long).count(b"HTTP/1.1 200 OK") == 2


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
def test_a_malformed_request_gets_a_problem(spawn, sent, message):
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
def test_a_body_with_too_much_chunk_framing_is_refused(spawn, framing):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection, suppress(ConnectionError):
        connection.sendall(CHUNKED + framing)
        response = read_all(connection)
    assert response.startswith(b"HTTP/1.1 400")
    assert b"chunk extensions or trailers is larger than 65,536 bytes" in response


def test_chunk_extensions_and_trailers_are_ignored(spawn):
    process = spawn()
    body = b'c;a=b;c="d"\r\n{"texts":["a\r\n3\r\n"]}\r\n0\r\nContent-Type: text/plain\r\n\r\n'
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(CHUNKED + body)
        assert read_all(connection).startswith(b"HTTP/1.1 200")


UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
PNG = encoded(plain_image())


def with_upgrade(start: bytes, fields: bytes = b"") -> bytes:
    """Returns the head of a request that asks to upgrade to HTTP/2, as Java's client sends it."""
    return start + b" HTTP/1.1\r\nHost: x\r\n" + UPGRADE + fields + b"\r\n"


def upload(body: bytes, framing: bytes) -> bytes:
    return with_upgrade(b"POST /classify?labels=cat", b"Content-Type: image/png\r\n" + framing) + body


CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(PNG), PNG)
WHOLE = upload(PNG, b"Content-Length: %d\r\n" % len(PNG))
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("split", [len(WHOLE), WHOLE.index(PNG), WHOLE.index(PNG) + 9, 20, WHOLE.index(b"h2c")])
def test_a_request_to_upgrade_the_protocol_is_served_as_http_1_1(spawn, split):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (WHOLE[:split], WHOLE[split:]):
            connection.sendall(piece)
        connection.sendall(WHOLE + HEALTH)  # the connection stays usable
        response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 OK") == response.count(b"HTTP/1.1 ") == 3
    assert response.count(b'"scores"') == 2
    assert process.exit_after_sigterm() == 0
    assert not [line for line in process.log if "pgrade" in line]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (upload(CHUNKS, b"Transfer-Encoding: chunked\r\n") + HEALTH, [200, 200]),
        (with_upgrade(b"GET /health/live") + HEALTH, [200, 200]),
        (with_upgrade(b"GET /nowhere") + HEALTH, [404, 200]),
        (with_upgrade(b"PRI *") + HEALTH, [400]),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTH, [400]),
        (with_upgrade(b"CONNECT example.com:443"), [400]),
        (with_upgrade(b"POST /classify", b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), [400]),
        (with_upgrade(b"GET http://x"), [400]),
        (with_upgrade(b"GET /health/live") * 1_000 + HEALTH, [200] * 1_001),
        (with_upgrade(b"GET /health/live", b"Connection: close\r\n") + HEALTH, [200]),
    ],
)
def test_an_upgrade_is_ignored_with_and_without_a_body(spawn, sent, expected):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(sent)
        statuses = re.findall(rb"HTTP/1.1 (\d+)", read_all(connection))
    assert [int(status) for status in statuses] == expected


def test_the_connection_of_an_http_1_0_client_is_closed(spawn):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(with_upgrade(b"GET /health/live").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert b"connection: close" in connection.recv(65_536)


# The response has 32 numbers for each text.
LARGE = b'{"texts": [' + b",".join(b'"%d"' % i for i in range(10_000)) + b"]}"
EMBED = (
    b"POST /embed/text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n" % len(LARGE)
)


@pytest.fixture
def reader(spawn):
    """A connection with a small receive buffer, on which a response of megabytes was requested."""
    process = spawn(body_timeout_s=1)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(address(process))
        connection.sendall(EMBED + LARGE)
        yield process, connection


def open_files(process) -> int:
    return len(list(Path(f"/proc/{process.popen.pid}/fd").iterdir()))


def test_a_client_that_reads_nothing_of_its_response_is_disconnected(reader):
    process, connection = reader
    connection.recv(1)
    before = open_files(process)
    process.wait_for(lambda: open_files(process) < before)
    assert len(read_all(connection)) < 1_000_000  # what was already in the network buffers


def test_a_client_that_reads_its_response_slowly_gets_all_of_it(reader):
    _, connection = reader
    response = connection.recv(65_536)
    for _ in range(8):
        time.sleep(0.25)  # 2 s in all: longer than the service waits for a client that reads nothing
        response += connection.recv(300_000, socket.MSG_WAITALL)
    response += read_all(connection)
    assert len(json.loads(response.partition(b"\r\n\r\n")[2])["embeddings"]) == 10_000


def refused_upload(process, length: int) -> socket.socket:
    """Returns a connection whose upload has just been refused. The response is not read yet."""
    connection = socket.create_connection(address(process), timeout=30)
    connection.sendall(head(length))
    return connection


def test_a_client_that_sends_its_whole_upload_before_it_reads_gets_the_response(spawn):
    """Java's HttpClient, among others. After a reset it would report that, and not the response."""
    process = spawn(api_keys="k", max_body_bytes=1_000_000)
    for _ in range(10):
        with refused_upload(process, 30_000_000) as connection:
            for _ in range(300):
                connection.sendall(bytes(100_000))
            assert read_all(connection).startswith(b"HTTP/1.1 401")


def test_the_end_of_a_refusal_is_seen_at_once_while_the_connection_still_takes_the_upload(spawn):
    process = spawn(api_keys="k")
    with refused_upload(process, 1_000_000) as connection:
        response = b"".join(iter(lambda: connection.recv(65_536), b""))  # the end, not a reset
        assert response.startswith(b"HTTP/1.1 401")
        connection.sendall(bytes(1_000_000))
        before = open_files(process)
    process.wait_for(lambda: open_files(process) < before)  # the client has closed it


def test_what_is_discarded_of_an_upload_is_limited_in_bytes(spawn):
    process = spawn(api_keys="k", max_body_bytes=1_000_000)
    with refused_upload(process, 1_000_000_000) as connection:
        sent_bytes = 0
        with suppress(ConnectionError):
            while sent_bytes < 200_000_000:
                connection.sendall(bytes(1_000_000))
                sent_bytes += 1_000_000
    assert 50_000_000 <= sent_bytes < 200_000_000


def test_what_is_discarded_of_an_upload_is_limited_in_time(spawn):
    process = spawn(api_keys="k", body_timeout_s=0.3)
    before = open_files(process)
    with refused_upload(process, 1_000_000) as connection:
        process.wait_for(lambda: open_files(process) > before)
        process.wait_for(lambda: open_files(process) == before)
        assert read_all(connection).startswith(b"HTTP/1.1 401")


def test_a_refused_upload_does_not_delay_the_end_of_the_service(spawn):
    process = spawn(api_keys="k")
    with refused_upload(process, 1_000_000) as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 401")
        assert process.exit_after_sigterm() == 0
    assert not [line for line in process.log if "Waiting for connections" in line]


def test_a_request_whose_framing_is_refused_is_cancelled(spawn):
    process = spawn()
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(CHUNKED + b"1;" + b"x" * 1_000_000)
        assert read_all(connection).startswith(b"HTTP/1.1 400")
        process.wait_for(lambda: 'reason="departed"} 1.0' in process.client.get("/metrics").text)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/v1/models?x=1", "/v1/models"),
        ("http://localhost:8000/v1/models?x", "/v1/models"),
        ("http://[/v1/models", "http://[/v1/models"),
        ("", ""),
    ],
)
def test_the_path_of_a_target(target, path):
    assert path_of(target) == path
