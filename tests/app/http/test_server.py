"""The server in a separate process: signals, draining, and bodies that are refused or slow."""

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.app.http.wire import address, head, read_all
from tests.app.image_files import encoded, plain_image

CLASSIFY = {
    "method": "POST",
    "url": "/classify",
    "params": {"labels": "cat"},
    "content": encoded(plain_image()),
    "headers": {"Content-Type": "image/png"},
}


def test_after_sigterm_the_service_is_unready_at_once_but_serves_requests_until_the_drain_ends(spawn):
    process = spawn("slow", drain_s=1.5)
    with ThreadPoolExecutor(1) as other:
        in_progress = other.submit(process.client.request, **CLASSIFY)
        process.popen.send_signal(signal.SIGTERM)
        ready = process.wait_until_draining()
        late, live = process.client.request(**CLASSIFY), process.client.get("/health/live")
        assert in_progress.result().status_code == 200
    assert (ready.status_code, ready.json()["error_type"]) == (503, "draining")
    assert (late.status_code, live.status_code) == (200, 200)
    assert late.headers["Connection"] == "close"
    assert process.exit_status() == 0


def test_a_request_in_progress_when_the_drain_ends_gets_its_response(spawn):
    process = spawn("slow", drain_s=0)
    with ThreadPoolExecutor(1) as other, socket.create_connection(address(process), timeout=30) as connection:
        body = CLASSIFY["content"]
        connection.sendall(head(len(body)) + body[:10])
        process.wait_for(lambda: "siglip_queue_bytes 10.0" in process.client.get("/metrics").text)
        process.popen.send_signal(signal.SIGTERM)
        process.wait_for(lambda: any("Waiting for connections" in line for line in process.log))
        connection.sendall(body[10:])
        response = other.submit(read_all, connection).result()
    assert response.startswith(b"HTTP/1.1 200")
    assert process.exit_status() == 0


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(spawn, first):
    process = spawn("sticks", drain_s=600)
    with ThreadPoolExecutor(1) as other:
        stuck = other.submit(process.client.request, **CLASSIFY)
        process.popen.send_signal(first)
        process.wait_until_draining()
        process.popen.send_signal(signal.SIGTERM)
        assert process.exit_status() == 128 + signal.SIGTERM
        assert stuck.exception()


@pytest.mark.parametrize(("behaviour", "number"), [("never loads", signal.SIGTERM), ("works", signal.SIGINT)])
def test_without_anything_to_drain_the_first_signal_ends_the_process(spawn, behaviour, number):
    process = spawn(behaviour, wait=behaviour == "works", drain_s=600)
    process.popen.send_signal(number)
    assert process.exit_status() == 0


def test_if_the_device_thread_ends_the_waiting_request_is_500_and_the_process_exits(spawn):
    process = spawn("dies")
    response = process.client.request(**CLASSIFY)
    assert (response.status_code, response.json()["error_type"]) == (500, "internal_error")
    assert process.exit_status() == 1
    assert any("the thread device has ended" in line for line in process.log)


def test_an_upload_with_a_wrong_key_is_answered_before_it_arrives_and_is_not_kept(spawn):
    process = spawn(api_keys="right")
    memory = Path(f"/proc/{process.popen.pid}/status")

    def resident_bytes() -> int:
        (line,) = [line for line in memory.read_text().splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    process.client.get("/health/live")
    with socket.create_connection(address(process), timeout=30) as connection:
        connection.sendall(head(100_000_000, "X-API-Key: wrong"))
        response = read_all(connection)  # the server responds to the headers without the body
        before_bytes = resident_bytes()
        for _ in range(40):
            connection.sendall(bytes(1_000_000))
        assert resident_bytes() - before_bytes < 10_000_000
        assert "siglip_queue_bytes 0.0" in process.client.get("/metrics").text
    assert response.startswith(b"HTTP/1.1 401")


def test_a_slow_body_is_408_and_other_requests_are_served_meanwhile(spawn):
    process = spawn(body_timeout_s=0.5)
    with socket.create_connection(address(process), timeout=30) as connection, ThreadPoolExecutor(1) as other:
        connection.sendall(head(1000) + b"x")
        response = other.submit(read_all, connection)
        assert process.client.request(**CLASSIFY).status_code == 200
        headers, _, body = response.result().partition(b"\r\n\r\n")
    assert headers.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in headers.lower()
    assert json.loads(body)["detail"] == "The body did not arrive within 0.5 s."


@pytest.mark.parametrize("name", ["request_timeout_s", "body_timeout_s", "canary_s"])
def test_an_infinite_timeout_means_no_limit(spawn, name):
    process = spawn(**{name: "inf"})
    assert process.client.request(**CLASSIFY).status_code == 200
    limit = process.client.get("/info").json()["limits"]["request_timeout_s"]
    assert limit == (None if name == "request_timeout_s" else 60)
    assert process.exit_after_sigterm() == 0
