"""`siglip batch` on this machine: killed at random moments, twice at once, and with a real S3 server."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.batch_jobs import NUM_IMAGES, check_complete, finish, result, start, write_images

KILLS = 8


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("batch") / "images")


def job(images: Path, out: Path) -> list[str]:
    return [str(images), "--out", str(out), "--labels", "cat", "dog", "--images-per-part", "20", "--embeddings"]


def test_killed_at_random_moments_and_started_again_the_result_is_that_of_one_undisturbed_run(images, tmp_path):
    finish(start(*job(images, tmp_path / "whole")))
    expected = result(tmp_path / "whole")
    check_complete(expected)
    out, chance, stored = tmp_path / "killed", random.Random(0), {0}
    for number in range(KILLS):
        process = start(*job(images, out))
        # At any moment of a start, or soon after a part was stored, on a machine of any speed.
        while number % 2 and process.poll() is None and len(list(out.glob("part-*"))) <= max(stored):
            time.sleep(0.01)
        try:
            process.wait(timeout=chance.uniform(0, 0.2 if number % 2 else 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        stored.add(len(list(out.glob("part-*"))))
    assert len(stored) > 3, "the job was not killed at different moments"
    finish(start(*job(images, out)))
    assert result(out).equals(expected)
    assert {path.name for path in out.iterdir() if not path.name.startswith("part-")} == {"_SUCCESS", "_job"}
    assert "complete before" in finish(start(*job(images, out)))


def test_two_processes_that_compute_the_same_job_at_once_do_no_harm(images, tmp_path):
    out = tmp_path / "out"
    both = [start(*job(images, out)) for _ in "ab"]
    for process in both:
        finish(process)
    check_complete(result(out))


def test_a_part_that_is_being_written_when_the_process_is_killed_is_not_in_the_result(images, tmp_path):
    out = tmp_path / "out"
    process = start(*job(images, out))
    while not list(out.glob("part-*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (out / ".part-000019.parquet.host-1.tmp").write_bytes(b"half of a part")
    assert 0 < len(result(out)) < NUM_IMAGES  # what is stored can be read
    finish(start(*job(images, out)))
    check_complete(result(out))
    assert not [name for name in os.listdir(out) if name.endswith(".tmp")]
