"""A decoder that crashes, hangs or eats memory, seen over HTTP while other clients use the service."""

import base64
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import FakeEncoder, Faulty, allocate, loop, segfault, sigkill

BAD = encoded(plain_image(RED))
COLOURS = [(shade, 255 - shade, 7) for shade in range(60)]


def post(client: httpx.Client, image: bytes) -> httpx.Response:
    return client.post("/classify", json={"image": base64.b64encode(image).decode(), "labels": ["cat"]})


def worker_exits(client: httpx.Client) -> dict[str, float]:
    found = re.findall(r'^siglip_decode_worker_exits_total\{reason="(\w+)"\} (\S+)$', client.get("/metrics").text, re.M)
    return {reason: float(count) for reason, count in found}


@pytest.mark.parametrize(
    ("fault", "error_type", "exits"),
    [
        (segfault, "decoder_failed", {"crashed": 2, "out_of_time": 0}),
        (sigkill, "decoder_failed", {"crashed": 2, "out_of_time": 0}),
        (allocate, "image_too_expensive", {"crashed": 0, "out_of_time": 0}),
        pytest.param(loop, "image_too_expensive", {"crashed": 0, "out_of_time": 1}, marks=pytest.mark.slow),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_is_the_response_to_its_image_and_nothing_else_is_lost(running, fault, error_type, exits):
    encoder = FakeEncoder(preprocessor=Faulty(fault, RED))
    with running(encoder, decode_workers=2) as client, ThreadPoolExecutor(8) as clients:
        client.timeout = httpx.Timeout(300)  # an endless loop ends after 20 s of CPU time
        before = [clients.submit(post, client, encoded(plain_image(colour))) for colour in COLOURS[:30]]
        bad = clients.submit(post, client, BAD)
        after = [clients.submit(post, client, encoded(plain_image(colour))) for colour in COLOURS[30:]]
        for response, colour in zip(before + after, COLOURS, strict=True):
            (score,) = response.result().json()["scores"]
            expected = encoder.logit(plain_image(colour), "This is a photo of cat.")
            assert score["logit"] == pytest.approx(expected, abs=1e-5)
        problem = bad.result().json()
        assert (problem["status"], problem["error_type"]) == (422, error_type)
        assert problem["errors"] == [{"pointer": "/image", "message": problem["detail"]}]
        assert worker_exits(client) == exits
        assert f'siglip_image_decode_failures_total{{reason="{error_type}"}} 1.0' in client.get("/metrics").text
        assert client.get("/health/ready").status_code == 200


def test_a_bad_image_of_a_batch_fails_alone(running):
    images = [("images", BAD if number == 1 else encoded(plain_image(COLOURS[number]))) for number in range(3)]
    with running(FakeEncoder(preprocessor=Faulty(segfault, RED))) as client:
        results = client.post("/classify/batch", files=images, data={"labels": "cat"}).json()["results"]
    assert ["scores" in result for result in results] == [True, False, True]
    assert results[1]["error"]["error_type"] == "decoder_failed"


def children(pid: int) -> list[int]:
    """Returns the processes that a process has started."""
    by_thread = [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for child in " ".join(by_thread).split()]


@pytest.mark.slow
def test_requests_go_on_while_the_workers_are_killed_again_and_again(spawn):
    process = spawn(decode_workers=2, image_cache_bytes=0)
    killed = 0
    with ThreadPoolExecutor(4) as clients:
        responses = [clients.submit(post, process.client, encoded(plain_image(colour))) for colour in COLOURS * 8]
        for number in range(50, len(responses), 50):
            responses[number].result()
            # The oldest one: an image whose worker is killed again at the second attempt would be refused.
            workers = [worker for server in children(process.popen.pid) for worker in children(server)]
            if workers:  # a worker is replaced when the next image needs it
                os.kill(min(workers), signal.SIGKILL)
                killed += 1
    assert killed >= 3
    assert {response.result().status_code for response in responses} == {200}
    assert process.client.get("/health/ready").status_code == 200
