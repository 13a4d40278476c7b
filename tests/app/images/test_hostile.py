"""Every hostile file over HTTP: its own 4xx, never 5xx, never a hang, and flat memory."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from app.settings import Settings
from tests.app.conftest import Running
from tests.app.image_files import encoded, plain_image
from tests.app.images.hostile import HOSTILE, NAMES, Hostile, mutated, noise
from tests.fakes import FakeEncoder

# What refusing may cost on top of the file itself: the texts of a PNG are unpacked up to 16 MB to see how long they
# are, zlib doubles its buffer to get there, and the rest is slack of the allocator. A 50-megapixel image that is
# welcome takes 350 MB and more (benchmarks/decode_memory.py); nothing here may come near that.
MAX_GROWTH_BYTES = 64_000_000

# Decodes each file of a folder, over and over, and prints by how much the highest resident memory has grown.
DECODE_ALL = """
import re, sys
from pathlib import Path
from app.errors import ServiceError
from app.images import decode

def highest_bytes():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

files = sorted(Path(sys.argv[1]).iterdir())
before_bytes = highest_bytes()
answers = 0
for _ in range(2):
    for file in files:
        try:
            decode(file.read_bytes(), int(sys.argv[2]))
        except ServiceError as error:
            answers += error.status < 500
        else:
            answers += 1
print('{"growth_bytes": %d, "answers": %d, "files": %d}' % (highest_bytes() - before_bytes, answers, len(files)))
"""


def post(client: httpx.Client, data: bytes) -> httpx.Response:
    headers = {"content-type": "application/octet-stream"}
    return client.post("/classify", params={"labels": "cat"}, content=data, headers=headers)


@pytest.mark.parametrize("case", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_gets_its_own_refusal(client: httpx.Client, case: Hostile) -> None:
    answer = post(client, case.make())
    problem = answer.json()
    assert (answer.status_code, problem["error_type"]) == case.answer, problem
    assert case.message in problem["detail"]


@pytest.mark.parametrize("image_format", NAMES)
def test_a_file_cut_anywhere_is_refused(client: httpx.Client, image_format: str) -> None:
    data = noise(image_format)
    for length in [1, 3, 8, 12, 16, 24, 40, 100, *(len(data) * tenth // 10 for tenth in range(1, 10))]:
        answer = post(client, data[:length])
        assert answer.status_code in (415, 422), length
        problem = answer.json()
        assert answer.status_code == 415 or f"The {image_format} is" in problem["detail"], length


@pytest.mark.parametrize("image_format", NAMES)
def test_a_damaged_file_is_decoded_or_refused_and_nothing_else(client: httpx.Client, image_format: str) -> None:
    statuses = [post(client, data).status_code for data in mutated(image_format, 250)]
    assert set(statuses) <= {200, 413, 415, 422}
    assert len(set(statuses)) > 1, "the damage is neither harmless everywhere nor fatal everywhere"
    assert client.get("/health/live").status_code == 200


@pytest.mark.parametrize("image_format", NAMES)
def test_what_follows_a_image_is_passed_over(client: httpx.Client, image_format: str) -> None:
    whole, followed = (post(client, noise(image_format) + tail) for tail in (b"", b"PK\3\4 and a poem" * 100))
    assert (whole.status_code, followed.status_code) == (200, 200)
    assert whole.json()["scores"] == followed.json()["scores"]


def test_bad_images_cost_the_good_ones_beside_them_nothing(running: Running) -> None:
    released = threading.Event()
    encoder = FakeEncoder(before_batch=lambda: released.wait(30) or None)
    colours = [tuple(colour) for colour in np.random.default_rng(0).integers(0, 256, (24, 3)).tolist()]
    bad = [data for image_format in NAMES for data in (noise(image_format)[:40], noise(image_format)[:-400])]
    with running(encoder) as client, ThreadPoolExecutor(len(colours) + len(bad)) as threads:
        scored = [threads.submit(post, client, encoded(plain_image(colour))) for colour in colours]
        refused = [threads.submit(post, client, data) for data in bad]
        # The device is held: whoever is refused is refused without it.
        assert {answer.result(30).status_code for answer in refused} <= {415, 422}
        released.set()
        answers = [answer.result(30) for answer in scored]
    prompt = "This is a photo of cat."
    for colour, answer in zip(colours, answers, strict=True):
        (score,) = answer.json()["scores"]
        assert score["logit"] == pytest.approx(encoder.logit(plain_image(colour), prompt), abs=1e-4)
    assert sum(encoder.image_batches) == len(colours)
    assert max(encoder.image_batches) > 1, "they were computed together"


def test_refusing_takes_no_memory_that_grows(tmp_path) -> None:
    files = [case.make() for case in HOSTILE.values()]
    files += [data for image_format in NAMES for data in mutated(image_format, 50)]
    for number, data in enumerate(files):
        (tmp_path / f"{number:04}").write_bytes(data)
    command = [sys.executable, "-W", "ignore", "-c", DECODE_ALL, str(tmp_path), str(Settings().max_image_pixels)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True)
    result = json.loads(ended.stdout)
    assert result["answers"] == 2 * len(files)
    assert result["growth_bytes"] < MAX_GROWTH_BYTES
