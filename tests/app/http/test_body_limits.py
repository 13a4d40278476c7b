import gc
import socket
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from model.engines.machine import available_cpus
from tests.app.image_files import encoded, plain_image
from tests.fakes import Busy, FakeEncoder

PNG = encoded(plain_image())
LIMIT_BYTES = 20_000_000
HEAD = b"POST /classify?labels=cat HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


def test_a_declared_length_is_refused_before_the_body_is_read(raw):
    status, headers, problem = raw(HEAD + b"Content-Length: 20000001\r\n\r\n")  # no byte of the body is sent
    assert (status, problem["error_type"]) == (413, "body_too_large")
    assert headers["connection"] == "close"
    assert problem["detail"] == "The body is larger than the 20,000,000 bytes that this service accepts."
    assert headers["x-request-id"] == problem["request_id"]


def test_a_chunked_body_is_counted_as_it_arrives(raw):
    chunk = b"f4240\r\n" + bytes(1_000_000) + b"\r\n"
    # The last chunk, which would end the body, is not sent.
    status, headers, problem = raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20 + b"1\r\nx\r\n")
    assert (status, problem["error_type"]) == (413, "body_too_large")
    assert headers["connection"] == "close"


PART = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'


@pytest.mark.parametrize(
    ("media_type", "start"),
    # A form is parsed as it arrives, so it must be well formed up to the limit.
    [("image/png", b""), ("application/json", b""), ("multipart/form-data; boundary=x", PART)],
)
def test_the_limit_applies_to_every_kind_of_body(running, media_type, start):
    with running(max_body_bytes=1000) as client:
        url = "/classify?labels=cat" if media_type == "image/png" else "/classify"
        response = client.post(url, content=iter([start, bytes(600), bytes(600)]), headers={"Content-Type": media_type})
    assert (response.status_code, response.json()["error_type"]) == (413, "body_too_large")


def test_a_body_at_the_limit_is_read(client):
    response = client.post("/classify?labels=cat", content=bytes(LIMIT_BYTES), headers={"Content-Type": "image/png"})
    assert response.json()["error_type"] == "unsupported_media_type"  # the body was read, but it is not an image


def test_a_get_request_with_a_body_succeeds(client):
    assert client.request("GET", "/health/live", content=b"x").status_code == 200


def post(image: bytes = PNG, **headers: str) -> dict:
    return {"content": image, "params": {"labels": "cat"}, "headers": {"Content-Type": "image/png"} | headers}


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused_unread(raw, encoding):
    status, headers, problem = raw(HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: 1000\r\n\r\n".encode())
    assert (status, problem["error_type"]) == (415, "unsupported_media_type")
    assert problem["detail"] == "A compressed body is not accepted. Send it without Content-Encoding."
    assert headers["connection"] == "close"


@pytest.fixture
def held(running) -> Iterator[tuple[httpx.Client, threading.Event]]:
    """A service that accepts 1,000 bytes and two images at a time, and whose device waits for the event."""
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder(before_batch=lambda: (entered.set(), free.wait()))
    with running(encoder, max_queue_bytes=1000, max_queue_items=2) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/classify", **post(padded(600)))
        entered.wait()
        yield client, free
        free.set()
        assert waiting.result().status_code == 200
    assert len(encoder.image_batches) >= 1


def padded(size: int) -> bytes:
    """Returns an image file of `size` bytes. Bytes after the end of a PNG are ignored."""
    return PNG + bytes(size - len(PNG))


def test_the_bodies_of_all_requests_share_one_limit(held):
    client, free = held
    refused = client.post("/classify", **post(padded(401)))
    assert (refused.status_code, refused.json()["error_type"]) == (429, "overloaded")
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get("/health/ready").status_code == 200
    streamed = client.post("/classify", **post(iter([padded(300), bytes(101)])))
    assert streamed.status_code == 429
    free.set()
    # A body's share is free a moment after its response was sent.
    for size in (400, 1000):
        assert 200 in (client.post("/classify", **post(padded(size))).status_code for _ in range(200))
    assert client.post("/classify", **post(padded(1001))).status_code == 413


def test_without_a_free_permit_a_body_is_refused_unread(running):
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder(before_batch=lambda: (entered.set(), free.wait()))
    with running(encoder, max_queue_items=1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.post, "/classify", **post())
        entered.wait()
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n")  # no byte of the body is sent
            response = connection.recv(65_536)
        free.set()
        assert waiting.result().status_code == 200
    assert response.startswith(b"HTTP/1.1 429")


def test_the_bytes_of_finished_requests_are_released(running):
    with running(max_queue_bytes=1000) as client:
        for size in [999, 1001, 500] * 5:
            client.post("/classify", **post(padded(size)))
        assert client.post("/classify", **post(padded(1000))).status_code == 200


def test_a_body_that_is_too_slow_is_408(running):
    with running(body_timeout_s=0.2) as client:
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 10)
            response = connection.recv(65_536)
        assert client.post("/classify", **post()).status_code == 200
    assert response.startswith(b"HTTP/1.1 408")


def test_a_form_leaves_nothing_in_the_temporary_folder(spawn):
    # Not below `tmp_path`, which is so long that the decode workers could not have a socket there.
    folder = Path(tempfile.mkdtemp())
    process = spawn(variables={"TMPDIR": str(folder)})
    files = {"image": ("a.png", padded(3_000_000))}
    assert process.client.post("/classify", files=files, data={"labels": "cat"}).status_code == 200
    assert process.client.post("/classify", files=files, data={"lables": "cat"}).status_code == 400
    with socket.create_connection((process.client.base_url.host, process.client.base_url.port)) as connection:
        form = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        # The client disconnects before the end of the body.
        connection.sendall(form + b"Content-Length: 9000000\r\n\r\n" + PART + bytes(3_000_000))
    assert process.client.get("/health/live").status_code == 200
    assert process.exit_after_sigterm() == 0
    folder.rmdir()  # fails unless it is empty


def noise(number: int) -> bytes:
    """Returns a PNG of about 1.3 MB, different for each number."""
    pixels = np.random.default_rng(number).integers(0, 256, (660, 660, 3), np.uint8)
    return encoded(Image.fromarray(pixels))


def test_bodies_of_abandoned_requests_are_released(running, tmp_path):
    busy = Busy(tmp_path / "free")
    with running(FakeEncoder(preprocessor=busy), max_queue_bytes=5_000_000) as client:
        tracemalloc.start()
        try:
            with ThreadPoolExecutor(8) as clients:
                responses = clients.map(
                    lambda number: client.post("/classify", **post(noise(number), **{"X-Request-Timeout-Ms": "300"})),
                    range(40),
                )
                statuses = {response.status_code for response in responses}
            gc.collect()
            # A decoding thread keeps its body until it ends. There are as many threads as CPUs.
            kept = [trace.size for trace in tracemalloc.take_snapshot().traces if trace.size > 1_000_000]
        finally:
            tracemalloc.stop()
            busy.free.touch()
    assert 504 in statuses
    assert statuses <= {504, 429}
    assert len(kept) <= 2 * available_cpus(), kept  # the body and the pixels of each


def test_texts_do_not_wait_for_images_that_are_being_decoded(running, tmp_path):
    busy = Busy(tmp_path / "free")
    with running(FakeEncoder(preprocessor=busy)) as client, ThreadPoolExecutor(12) as clients:
        decoding = [clients.submit(client.post, "/classify", **post(noise(number))) for number in range(12)]
        while "siglip_queue_depth 12.0" not in client.get("/metrics").text:
            pass
        assert client.post("/embed/text", json={"texts": ["cat"]}).status_code == 200
        assert client.put("/label-sets/pets", json={"labels": ["cat"]}).status_code == 201
        assert not any(request.done() for request in decoding)
        busy.free.touch()
        assert {request.result().status_code for request in decoding} == {200}
