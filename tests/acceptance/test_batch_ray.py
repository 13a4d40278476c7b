"""`siglip batch --runner ray` on a real cluster of two nodes: actors, a node and the driver are killed."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from tests.acceptance.batch_jobs import SETTINGS, check_complete, finish, result, start, write_images
from tests.acceptance.ray_cluster import STARTS, Cluster, descendants, node_arguments

ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
ACTOR = "ChunkStorer"
WAIT_S = 120


class Nodes:
    """A head and one more node, with one CPU each. Their processes find the tests."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._add()
        self._other = self._add()

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def _add(self) -> Any:
        for _ in range(STARTS - 1):
            with suppress(Exception):  # a busy machine starts slowly, and Ray has no other class for it
                return self._cluster.add_node(**node_arguments())
        return self._cluster.add_node(**node_arguments())

    def kill_other(self) -> None:
        """Kills all processes of the second node, as a power failure does."""
        own = [each.process.pid for processes in self._other.all_processes.values() for each in processes]
        for pid in own + [child for parent in own for child in descendants(parent)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(self._other, allow_graceful=False)

    def add_other(self) -> None:
        """Starts a node in the place of the killed one."""
        self._other = self._add()

    def shutdown(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as folder:
        for name, value in (ENVIRONMENT | SETTINGS | {"RAY_TMPDIR": folder}).items():
            patch.setenv(name, value)
        patch.delenv("RAY_ADDRESS", raising=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray leaves files and sockets open
            nodes = Nodes()
            yield nodes
            nodes.shutdown()


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    return write_images(tmp_path_factory.mktemp("ray") / "images")


@pytest.fixture
def run(cluster, images, tmp_path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the job on the cluster."""
    arguments = [images, "--out", tmp_path / "out", "--labels", "cat", "dog", "--images-per-part", "10"]
    processes: list[subprocess.Popen[str]] = []

    def begin(*more: str, runner: str = "ray", command: Sequence[str] = (), **module: str) -> subprocess.Popen[str]:
        ray = ["--actors", "2", "--cpus-per-actor", "1"] if runner == "ray" else []
        given = [*command, *arguments, "--runner", runner, *ray, *more]
        processes.append(start(*given, **module, **ENVIRONMENT, RAY_ADDRESS=cluster.address))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def wait_for_parts(process: subprocess.Popen[str], out: Path, count: int) -> None:
    """Waits until so many parts are stored, while the job runs."""
    ends_s = time.monotonic() + WAIT_S
    while len(list(out.glob("part-*"))) < count:
        if process.poll() is not None or time.monotonic() > ends_s:
            process.kill()
            pytest.fail("".join(process.communicate()))
        time.sleep(0.02)


def actor_processes() -> list[int]:
    """Returns the process ids of the actors."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if title.startswith(b"ray::") and ACTOR.encode() in title:
            found.append(int(folder.name))
    return found


def test_an_actor_and_then_the_driver_are_killed_and_the_result_is_complete(run, tmp_path):
    process = run()
    wait_for_parts(process, tmp_path / "out", 3)
    os.kill(actor_processes()[0], signal.SIGKILL)
    wait_for_parts(process, tmp_path / "out", 12)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    assert 12 <= len(stored) < 40
    again = run()
    output = finish(again)
    check_complete(result(tmp_path / "out"))
    unchanged = [path for path, time_ns in stored.items() if path.stat().st_mtime_ns == time_ns]
    assert len(unchanged) >= 12, "what was stored was computed again"
    assert "400 images in 40 parts" in output
    assert "complete before" in finish(run())
    next((tmp_path / "out").glob("part-*")).unlink()
    finish(run(runner="local"))  # which computes the missing part of the same job
    check_complete(result(tmp_path / "out"))


def test_a_node_is_killed_and_the_others_finish_the_job(run, cluster, tmp_path):
    process = run()
    wait_for_parts(process, tmp_path / "out", 3)
    cluster.kill_other()
    try:
        finish(process)
    finally:
        cluster.add_other()
    check_complete(result(tmp_path / "out"))


def test_a_cluster_that_is_too_small_and_a_model_that_actors_cannot_load_are_errors_in_one_line(run, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(EMBEDDED_DIRECTORY / EMBEDDED[1], broken)
    tensors = load_file(broken / "model.safetensors")
    del tensors["logit_bias"]
    save_file(tensors, broken / "model.safetensors")
    loading = {"module": "app", "command": ["batch"]}
    for process, message, status in (
        (run("--cpus-per-actor", "64"), "error: an actor needs 64 CPUs", 2),
        (run("--weights", str(broken), "--out", str(tmp_path / "other"), **loading), "error: an actor failed: ", 1),
    ):
        _, errors = process.communicate(timeout=WAIT_S)
        assert errors.splitlines()[-1].startswith(message), errors
        assert process.returncode == status
