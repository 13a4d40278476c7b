"""What a worker answers, and its limits."""

import json
import subprocess
import sys

from app.images.prepare import Preparation
from app.images.worker_process import reply
from tests.app.image_files import BLUE, encoded, plain_image
from tests.fakes import Faulty, MeanColour, raise_error

PREPARATION = Preparation(MeanColour(), max_image_pixels=1_000)


def test_a_reply_has_the_prepared_image_or_an_error():
    facts, pixels = reply(encoded(plain_image(BLUE)), 0, PREPARATION)
    assert facts == {"width": 24, "height": 24, "format": "PNG", "notes": []}
    assert bytes(pixels) == MeanColour()(plain_image(BLUE)).tobytes()
    facts, pixels = reply(b"hello", 0, PREPARATION)
    assert (facts["error_type"], bytes(pixels)) == ("unsupported_media_type", b"")


def test_a_fault_of_ours_is_reported_with_its_traceback():
    facts, _ = reply(encoded(plain_image(BLUE)), 0, Preparation(Faulty(raise_error, BLUE), 1_000))
    assert facts["error_type"] == "decoder_failed"
    assert facts["traceback"].endswith("LookupError: a fault\n")


LIMITED = """
import json, resource, sys
from app.images.worker_process import Limits, limit_cpu, limit_process

limit_process(Limits(100_000_000))
limit_cpu(3)
try:
    taken = bytes(200_000_000)
except MemoryError:
    taken = None
try:
    with open(sys.argv[1], "w") as file:
        file.write("x")
    written = True
except OSError:
    written = False
soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
print(json.dumps([taken is None, written, soft, hard == resource.RLIM_INFINITY]))
"""


def test_a_worker_has_little_memory_writes_no_file_and_has_a_cpu_budget(tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    refused, written, cpu_s, unlimited = json.loads(done.stdout)
    assert (refused, written, unlimited) == (True, False, True)
    assert 3 < cpu_s <= 6  # what the start took, rounded up, and three more
