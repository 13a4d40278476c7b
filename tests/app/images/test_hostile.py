"""Every hostile file, sent over HTTP, gets its expected 4xx without a 5xx, a hang or growing memory."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from app.settings import Settings
from tests.app.conftest import Running
from tests.app.image_files import encoded, plain_image
from tests.app.images.hostile import HOSTILE, NAMES, TIRING, Hostile, mutated, noise
from tests.fakes import FakeEncoder

# The memory that a refusal may take in addition to the file. A PNG's profile is decompressed up to 8 MB, and zlib
# doubles its buffer to reach that size; the rest is the allocator's overhead. An accepted 50-megapixel image takes
# 350 MB or more (benchmarks/decode_memory.py). A refusal must take far less.
MAX_GROWTH_BYTES = 64_000_000

# Decodes each file of a folder twice, and prints by how much the peak resident memory has grown.
DECODE_ALL = """
import re, sys
from pathlib import Path
from app.errors import ServiceError
from app.images.decode import DecodeOptions, decode

def peak_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

files = sorted(Path(sys.argv[1]).iterdir())
before_bytes = peak_bytes()
answers = 0
for _ in range(2):
    for file in files:
        try:
            decode(file.read_bytes(), DecodeOptions(int(sys.argv[2])))
        except ServiceError as error:
            answers += error.status < 500
        else:
            answers += 1
print('{"growth_bytes": %d, "answers": %d, "files": %d}' % (peak_bytes() - before_bytes, answers, len(files)))
"""


def post(client: httpx.Client, data: bytes) -> httpx.Response:
    headers = {"content-type": "application/octet-stream"}
    return client.post("/classify", params={"labels": "cat"}, content=data, headers=headers)


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gets_its_expected_error(client: httpx.Client, case: Hostile) -> None:
    response = post(client, case.make())
    problem = response.json()
    assert (response.status_code, problem["error_type"]) == case.response, problem
    assert case.message in problem["detail"]


@pytest.mark.parametrize("make", TIRING.values(), ids=TIRING)
def test_a_file_of_many_or_large_pieces_is_read(client: httpx.Client, make: Callable[[], bytes]) -> None:
    assert post(client, make()).status_code == 200


@pytest.mark.parametrize("image_format", NAMES)
def test_a_truncated_file_is_refused(client: httpx.Client, image_format: str) -> None:
    data = noise(image_format)
    for length in [1, 3, 8, 12, 16, 24, 40, 100, *(len(data) * tenth // 10 for tenth in range(1, 10))]:
        response = post(client, data[:length])
        assert response.status_code in (415, 422), length
        problem = response.json()
        assert response.status_code == 415 or f"The {image_format} is" in problem["detail"], length


@pytest.mark.parametrize("image_format", NAMES)
def test_a_damaged_file_is_decoded_or_refused(client: httpx.Client, image_format: str) -> None:
    statuses = [post(client, data).status_code for data in mutated(image_format, 250)]
    assert set(statuses) <= {200, 413, 415, 422}
    assert len(set(statuses)) > 1, "some damaged files must be decoded and others refused"
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("image_format", NAMES)
def test_bytes_after_an_image_are_ignored(client: httpx.Client, image_format: str) -> None:
    whole, followed = (post(client, noise(image_format) + tail) for tail in (b"", b"PK\3\4 and a poem" * 100))
    assert (whole.status_code, followed.status_code) == (200, 200)
    assert whole.json()["scores"] == followed.json()["scores"]


def test_refused_images_do_not_affect_valid_ones(running: Running) -> None:
    released = threading.Event()
    encoder = FakeEncoder(before_batch=lambda: released.wait(30) or None)
    colours = [tuple(colour) for colour in np.random.default_rng(0).integers(0, 256, (24, 3)).tolist()]
    bad = [data for image_format in NAMES for data in (noise(image_format)[:40], noise(image_format)[:-400])]
    with running(encoder) as client, ThreadPoolExecutor(len(colours) + len(bad)) as threads:
        scored = [threads.submit(post, client, encoded(plain_image(colour))) for colour in colours]
        refused = [threads.submit(post, client, data) for data in bad]
        # The device is blocked, so these files are refused before they reach it.
        assert {future.result(30).status_code for future in refused} <= {415, 422}
        released.set()
        responses = [future.result(30) for future in scored]
    prompt = "This is a photo of cat."
    for colour, response in zip(colours, responses, strict=True):
        (score,) = response.json()["scores"]
        assert score["logit"] == pytest.approx(encoder.logit(plain_image(colour), prompt), abs=1e-4)
    assert sum(encoder.image_batches) == len(colours)
    assert max(encoder.image_batches) > 1, "no images were computed together"


def test_refusals_do_not_grow_the_memory(tmp_path) -> None:
    files = [case.make() for case in HOSTILE.values()] + [make() for make in TIRING.values()]
    files += [data for image_format in NAMES for data in mutated(image_format, 50)]
    for number, data in enumerate(files):
        (tmp_path / f"{number:04}").write_bytes(data)
    command = [sys.executable, "-W", "ignore", "-c", DECODE_ALL, str(tmp_path), str(Settings().max_image_pixels)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(ended.stdout)
    assert result["answers"] == 2 * len(files)
    assert result["growth_bytes"] < MAX_GROWTH_BYTES
