import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image
from tests.fakes import FakeEncoder


def post(colour=RED, **headers: str) -> dict:
    return {
        "content": encoded(plain_image(colour)),
        "params": {"labels": "cat"},
        "headers": {"Content-Type": "image/png"} | headers,
    }


def connect(client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=30)


class Gate:
    """Blocks the device inside a batch until `free` is set."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.free = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        self.free.wait()


def test_a_request_that_reaches_its_deadline_is_504_and_never_computed(running):
    gate = Gate()
    encoder = FakeEncoder(gate)
    with running(encoder) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/classify", **post())
        gate.entered.wait()
        response = client.post("/classify", **post(BLUE, **{"X-Request-Timeout-Ms": "500"}))
        gate.free.set()
        assert waiting.result().status_code == 200
        assert client.post("/classify", **post(GREEN)).status_code == 200
        counted = client.get("/metrics").text
    problem = response.json()
    assert (response.status_code, problem["error_type"]) == (504, "deadline_exceeded")
    assert problem["detail"] == "There was no response within 0.5 s. The request was cancelled."
    assert sum(encoder.image_batches) == 2  # red and green
    assert 'siglip_dropped_rows_total{tower="image"} 1.0' in counted
    assert 'siglip_rejected_total{reason="deadline_exceeded"} 1.0' in counted


@pytest.mark.parametrize(("timeout_s", "header"), [(0.05, {}), (0.05, {"X-Request-Timeout-Ms": "60000"})])
def test_no_request_may_take_longer_than_the_setting(running, timeout_s, header):
    gate = Gate()
    with running(FakeEncoder(gate), request_timeout_s=timeout_s) as client:
        response = client.post("/classify", **post(**header))
        gate.free.set()
    assert response.status_code == 504
    assert "within 0.05 s" in response.json()["detail"]


def test_the_time_to_receive_the_body_counts(running):
    with running(request_timeout_s=0.1) as client, connect(client) as connection:
        connection.sendall(b"POST /classify?labels=cat HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n")
        connection.sendall(b"Content-Type: image/png\r\n\r\nx")
        response = connection.recv(65_536)
    assert response.startswith(b"HTTP/1.1 504")
    assert b"connection: close" in response.lower()


@pytest.mark.parametrize("given", ["", "0", "-1", "1.5", "soon", "1" * 10, "٣"])
def test_a_timeout_that_is_not_a_whole_number_of_milliseconds_is_refused(client, given):
    response = client.post("/classify", **post(**{"X-Request-Timeout-Ms": given.encode()}))
    assert (response.status_code, response.json()["error_type"]) == (400, "invalid_request")
    assert "X-Request-Timeout-Ms must be a whole number" in response.json()["detail"]


def disconnect(client, before_closing: Callable[[], object]) -> None:
    """Sends a request for a blue image and closes the connection without waiting for the response."""
    body = encoded(plain_image(BLUE))
    with connect(client) as connection:
        connection.sendall(
            b"POST /classify?labels=bird HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        before_closing()


def test_a_request_whose_client_has_disconnected_is_never_computed(running, caplog):
    gate = Gate()
    encoder = FakeEncoder(gate)
    with running(encoder) as client, ThreadPoolExecutor(1) as other, caplog.at_level(logging.INFO, "app"):
        waiting = other.submit(client.post, "/classify", **post())
        gate.entered.wait()
        disconnect(client, lambda: client.get("/health/live"))
        while not any(getattr(record, "facts", {}).get("status") == 499 for record in caplog.records):
            client.get("/health/live")
        gate.free.set()
        assert waiting.result().status_code == 200
        assert client.post("/classify", **post(GREEN)).status_code == 200
        counted = client.get("/metrics").text
    assert sum(encoder.image_batches) == 2  # red and green
    assert sum(encoder.text_batches) == 1  # of cat, not of bird
    assert 'siglip_rejected_total{reason="departed"} 1.0' in counted


def test_a_client_that_disconnects_during_the_batch_does_not_affect_the_next(running, caplog):
    gate = Gate()
    encoder = FakeEncoder(gate)
    with running(encoder) as client, caplog.at_level(logging.INFO, "app"):
        disconnect(client, gate.entered.wait)
        while not any(getattr(record, "facts", {}).get("status") == 499 for record in caplog.records):
            client.get("/health/live")
        gate.free.set()
        assert client.post("/classify", **post(GREEN)).status_code == 200
