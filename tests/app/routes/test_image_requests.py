import base64
import json
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import pytest

from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image, quarters
from tests.fakes import FakeEncoder, Recorder

TURNED = encoded(quarters(), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
PROMPT = "This is a photo of cat."
LARGE = encoded(np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8))  # 120 kB: hashed in a thread


def as_file(image: bytes, *labels: str, **headers: str) -> dict[str, Any]:
    return {"content": image, "params": {"labels": labels}, "headers": {"Content-Type": "image/png"} | headers}


def as_form(image: bytes, *labels: str) -> dict[str, Any]:
    return {"files": {"image": image}, "data": {"labels": labels}}


def as_json(image: bytes, *labels: str) -> dict[str, Any]:
    return {"json": {"image": base64.b64encode(image).decode(), "labels": labels}}


def logits(response: httpx.Response) -> dict[str, float]:
    assert response.status_code == 200, response.text
    return {score["label"]: score["logit"] for score in response.json()["scores"]}


def cache(client: httpx.Client) -> tuple[float, ...]:
    """Returns hits, misses, evictions and bytes of the image cache, from the metrics."""
    text = client.get("/metrics").text
    names = ("hits_total", "misses_total", "evictions_total", "bytes")
    return tuple(float(re.search(rf"^siglip_image_cache_{name} (\S+)$", text, re.MULTILINE)[1]) for name in names)  # type: ignore[index]


def test_images_are_decoded_by_as_many_processes_as_the_settings_say(running, tmp_path):
    encoder = FakeEncoder(preprocessor=Recorder(tmp_path))
    requests = [[encoded(plain_image(RED, side)) for side in range(start, 260, 8)] for start in range(100, 108)]

    def send(files: list[bytes]) -> int:
        form = [("images", image) for image in files]
        return client.post("/classify/batch", files=form, data={"labels": "cat"}).status_code

    with running(encoder, decode_workers=3) as client, ThreadPoolExecutor(8) as others:
        assert set(others.map(send, requests)) == {200}
    processes = {file.name.split("-")[1] for file in tmp_path.iterdir()}
    assert 1 < len(processes) <= 3
    assert str(os.getpid()) not in processes


def test_a_cached_image_with_other_labels_is_neither_decoded_nor_computed_again(running, tmp_path):
    encoder = FakeEncoder(preprocessor=Recorder(tmp_path))
    with running(encoder) as client:
        label_lists = [("cat",), ("dog", "tree"), ("dog", "cat")]
        responses = [client.post("/classify", **as_file(encoded(plain_image(RED)), *labels)) for labels in label_lists]
        assert (len(encoder.preprocessor.sizes()), encoder.image_batches) == (1, [1])
        assert cache(client)[:3] == (2, 1, 0)
    for labels, response in zip(label_lists, responses, strict=True):
        expected = {label: encoder.logit(plain_image(RED), f"This is a photo of {label}.") for label in labels}
        assert logits(response) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("image", [TURNED, LARGE], ids=["small", "large"])
def test_the_response_for_a_cached_image_is_identical_for_every_kind_of_body(running, image, tmp_path):
    encoder = FakeEncoder(preprocessor=Recorder(tmp_path))
    with running(encoder) as client:
        bodies = {
            client.post("/classify", **as_body(image, "cat")).text for as_body in (as_file, as_form, as_json, as_file)
        }
        batch = client.post("/classify/batch", files=[("images", image)] * 3, data={"labels": "cat"}).json()
    (body,) = bodies
    assert (len(encoder.preprocessor.sizes()), encoder.image_batches) == (1, [1])
    assert ("exif_orientation_applied" in body) == (image is TURNED)
    assert [{"model": batch["model"], "warnings": []} | result for result in batch["results"]] == [json.loads(body)] * 3


def test_a_cached_image_took_no_time_and_is_logged_as_a_cache_hit(running, caplog):
    with caplog.at_level(logging.INFO, "app"), running() as client:
        responses = [client.post("/classify", **as_file(encoded(plain_image()), "cat")) for _ in range(2)]
    timings = [
        dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", ")) for response in responses
    ]
    assert set(timings[0]) == set(timings[1]) == {"decode", "queue", "image", "text", "total"}
    assert [timings[1][stage] for stage in ("decode", "queue", "image")] == ["0.0"] * 3
    lines = [record.facts for record in caplog.records if getattr(record, "facts", {}).get("route") == "/classify"]
    assert [line["image_cache_hits"] for line in lines] == [0, 1]


def test_cached_and_new_images_are_never_mixed_up(running):
    encoder = FakeEncoder()
    colours = [(shade, 255 - shade, 7) for shade in range(40)]
    files = [encoded(plain_image(colour)) for colour in colours]
    expected = [encoder.logit(plain_image(colour), PROMPT) for colour in colours]
    with running(encoder, max_images=200) as client, ThreadPoolExecutor(8) as others:

        def classify_one(index: int) -> float:
            return logits(client.post("/classify", **as_file(files[index], "cat")))["cat"]

        for _ in range(2):
            assert list(others.map(classify_one, range(0, 40, 2))) == pytest.approx(expected[::2], abs=1e-5)
            form = [("images", file) for file in files * 2]
            results = client.post("/classify/batch", files=form, data={"labels": "cat"}).json()["results"]
            assert [result["scores"][0]["logit"] for result in results] == pytest.approx(expected * 2, abs=1e-5)
    assert sum(encoder.image_batches) == 40


def test_the_least_recently_used_image_is_evicted_when_the_cache_is_full(running):
    encoder = FakeEncoder()
    with running(encoder, image_cache_bytes=2_500) as client:  # space for two entries of about 1,200 bytes
        for colour in (RED, GREEN, RED, BLUE, RED, GREEN):  # blue evicts green
            client.post("/classify", **as_file(encoded(plain_image(colour)), "cat"))
        hits, misses, evictions, size_bytes = cache(client)
    assert sum(encoder.image_batches) == 4
    assert (hits, misses, evictions) == (2, 4, 2)
    assert 2_000 < size_bytes <= 2_500


def test_with_image_cache_bytes_0_nothing_is_cached(running):
    encoder = FakeEncoder()
    with running(encoder, image_cache_bytes=0) as client:
        for as_body in (as_file, as_json):
            logits(client.post("/classify", **as_body(encoded(plain_image()), "cat")))
        assert cache(client) == (0, 0, 0, 0)
    assert sum(encoder.image_batches) == 2


@dataclass
class Gate:
    """Blocks the device inside a batch until `free` is set."""

    entered: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> None:
        self.entered.set()
        self.free.wait()


@pytest.fixture
def blocked(running: Callable[..., Any]) -> Iterator[tuple[httpx.Client, FakeEncoder, Gate, ThreadPoolExecutor]]:
    """A service whose device is blocked inside the batch of another image."""
    gate, encoder = Gate(), FakeEncoder()
    with running(encoder) as client, ThreadPoolExecutor(8) as others:
        client.post("/embed/text", json={"texts": [PROMPT]})  # cached, so it is not blocked
        encoder.before_batch = gate
        before = others.submit(client.post, "/embed/image", **as_file(encoded(plain_image(GREEN))))
        gate.entered.wait()
        yield client, encoder, gate, others
        gate.free.set()
        assert before.result().status_code == 200


def until(client: httpx.Client, series: str) -> None:
    """Waits until a line of the metrics, such as `siglip_queue_depth 2.0`, appears."""
    while series not in client.get("/metrics").text:
        pass


def test_concurrent_requests_for_one_image_compute_it_once(blocked):
    client, encoder, gate, others = blocked
    waiting = [others.submit(client.post, "/classify", **as_file(encoded(plain_image()), "cat")) for _ in range(5)]
    until(client, "siglip_queue_depth 6.0")
    gate.free.set()
    assert len({request.result().content for request in waiting}) == 1
    assert sum(encoder.image_batches) == 2  # green and red


def test_a_client_that_disconnects_does_not_cancel_the_image_for_others(blocked):
    client, encoder, gate, others = blocked
    image = encoded(plain_image())
    head = f"POST /embed/image HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port)) as first:
        first.sendall(head.encode() + image)
        until(client, "siglip_queue_depth 2.0")
        second = others.submit(client.post, "/classify", **as_file(image, "cat"))
        until(client, "siglip_queue_depth 3.0")
    until(client, 'siglip_rejected_total{reason="departed"} 1.0')
    gate.free.set()
    assert logits(second.result()) == pytest.approx({"cat": encoder.logit(plain_image(), PROMPT)}, abs=1e-5)
    assert sum(encoder.image_batches) == 2


def test_an_image_without_waiting_requests_is_dropped_and_can_be_sent_again(blocked):
    client, encoder, gate, _ = blocked
    request = as_file(encoded(plain_image()), "cat", **{"X-Request-Timeout-Ms": "200"})
    assert client.post("/classify", **request).status_code == 504
    gate.free.set()
    logits(client.post("/classify", **as_file(encoded(plain_image()), "cat")))
    assert sum(encoder.image_batches) == 2
    assert 'siglip_dropped_rows_total{tower="image"} 1.0' in client.get("/metrics").text


def test_a_device_failure_is_not_cached(running):
    failures = [RuntimeError("out of memory")]

    def fail_once() -> None:
        if failures:
            raise failures.pop()

    encoder = FakeEncoder(fail_once)
    with running(encoder) as client:
        request = as_file(encoded(plain_image()))
        assert [client.post("/embed/image", **request).status_code for _ in range(3)] == [500, 200, 200]
        assert cache(client)[:2] == (1, 2)


@dataclass
class NaNOnceEncoder(FakeEncoder):
    """Returns NaN for the first image."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        first = not self.image_batches
        embeddings = super().encode_images(images)
        return np.full_like(embeddings, np.nan) if first else embeddings


def test_an_embedding_that_is_not_finite_is_not_cached(running):
    encoder = NaNOnceEncoder()
    with running(encoder) as client:
        request = as_file(encoded(plain_image()))
        assert [client.post("/embed/image", **request).status_code for _ in range(2)] == [500, 200]


def test_a_damaged_file_sent_twice_is_reported_at_both_pointers_and_counted_twice(running):
    broken = LARGE[:-50_000]
    with running() as client:
        files = [("images", image) for image in (broken, encoded(plain_image()), broken)]
        results = client.post("/classify/batch", files=files, data={"labels": "cat"}).json()["results"]
        assert [result["error"]["errors"][0]["pointer"] for result in results[::2]] == ["/images/0", "/images/2"]
        again = client.post("/classify", **as_form(broken, "cat")).json()
        assert (again["error_type"], again["errors"][0]["pointer"]) == ("invalid_image", "/image")
        assert 'siglip_image_decode_failures_total{reason="invalid_image"} 3.0' in client.get("/metrics").text
