"""Worker processes: a decoder that crashes, hangs or eats memory costs its image and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.errors import DecoderFailed, ImageTooExpensive, InvalidImage, ServiceError
from app.images.prepare import Preparation
from app.images.worker_process import Limits
from app.images.workers import CRASHED, OUT_OF_TIME, Workers
from model.preprocess import ImageLike
from tests.app.image_files import GREEN, RED, encoded, plain_image
from tests.app.images.hostile import EXPENSIVE
from tests.fakes import Faulty, MeanColour, allocate, loop, raise_error, segfault, sigkill, sleep

PNG, BAD = encoded(plain_image(GREEN)), encoded(plain_image(RED))
LIMITS = Limits(memory_bytes=300_000_000, cpu_s=1, wall_s=30)


@contextmanager
def workers(preprocessor: MeanColour | None = None, processes: int = 2, limits: Limits = LIMITS) -> Iterator[Workers]:
    """A pool, with the reasons why its processes have ended in `exits`."""
    exits: list[str] = []
    preparation = Preparation(preprocessor or MeanColour(), max_image_pixels=50_000_000)
    pool = Workers(preparation, processes=processes, limits=limits, on_exit=exits.append)
    pool.exits = exits  # type: ignore[attr-defined]  # for the test
    try:
        yield pool
    finally:
        pool.close()


def test_an_image_is_prepared_in_another_process():
    with workers() as pool:
        image = pool.prepare(PNG)
        np.testing.assert_array_equal(image.pixels, MeanColour()(plain_image(GREEN)))
        assert image.facts.model_dump() == {"width": 24, "height": 24, "format": "PNG", "notes": []}
        assert image.decode_s > 0


def test_errors_of_an_image_are_raised_here_and_the_process_goes_on():
    with workers(processes=1) as pool:
        for data, error in [(b"", InvalidImage), (PNG[:60], InvalidImage), (PNG, None)]:
            if error:
                with pytest.raises(error):
                    pool.prepare(data)
            else:
                assert pool.prepare(data).facts.format == "PNG"
        assert pool.exits == []


@dataclass(frozen=True)
class Fault:
    """What goes wrong in a worker, the error of its image, and how often a process ends."""

    happens: Callable[[], object]
    error: type[ServiceError]
    exits: tuple[str, ...]


FAULTS = [
    Fault(segfault, DecoderFailed, (CRASHED, CRASHED)),
    Fault(sigkill, DecoderFailed, (CRASHED, CRASHED)),
    Fault(loop, ImageTooExpensive, (OUT_OF_TIME,)),
    Fault(allocate, ImageTooExpensive, ()),
    Fault(raise_error, DecoderFailed, ()),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.happens.__name__)
def test_a_fault_costs_its_image_and_no_other_one_under_load(fault):
    colours = [(shade, 255 - shade, 7) for shade in range(40)]
    with workers(Faulty(fault.happens, RED)) as pool, ThreadPoolExecutor(8) as threads:
        images = [threads.submit(pool.prepare, encoded(plain_image(colour))) for colour in colours[:20]]
        bad = threads.submit(pool.prepare, BAD)
        images += [threads.submit(pool.prepare, encoded(plain_image(colour))) for colour in colours[20:]]
        for image, colour in zip(images, colours, strict=True):
            assert tuple(image.result().pixels[0, 0]) == colour
        with pytest.raises(fault.error):
            bad.result()
        assert pool.exits == list(fault.exits)
        assert tuple(pool.prepare(PNG).pixels[0, 0]) == GREEN


def test_an_image_that_takes_too_long_without_computing_is_too_expensive():
    with workers(Faulty(sleep, RED), limits=LIMITS._replace(wall_s=3)) as pool:
        pool.start()
        with pytest.raises(ImageTooExpensive, match="takes more than 3 s"):
            pool.prepare(BAD)
        assert pool.exits == [OUT_OF_TIME]
        assert pool.prepare(PNG)


def test_the_cpu_budget_is_per_image_and_not_per_process():
    def burn() -> None:
        assert pool.prepare(encoded(np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), np.uint8)))

    with workers(processes=1, limits=LIMITS) as pool:
        used_s = 0.0
        while used_s < 2:  # twice the budget of an image
            burn()
            used_s = sum(cpu_s(pid) for pid in pool.pids)
        assert pool.exits == []


def processes(pool: Workers) -> list[int]:
    return [worker._process.pid for worker in pool._all if worker._process]


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_process_that_is_killed_while_idle_is_replaced_and_costs_no_image():
    with workers() as pool:
        pool.start()
        before = pool.pids
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        while pool.pids:
            time.sleep(0.01)
        assert [tuple(pool.prepare(PNG).pixels[0, 0]) for _ in range(4)] == [GREEN] * 4
        assert not set(before) & set(pool.pids)
        assert pool.exits == []


def test_a_process_survives_the_signals_of_a_terminal_and_of_a_service_manager():
    with workers(processes=1) as pool:
        pool.start()
        (pid,) = pool.pids
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(pid, number)
        assert pool.prepare(PNG)
        assert pool.pids == [pid]


def test_close_ends_a_process_that_decodes():
    with workers(Faulty(sleep, RED), processes=1) as pool, ThreadPoolExecutor(1) as threads:
        pool.start()
        (pid,) = pool.pids
        waiting = threads.submit(pool.prepare, BAD)
        pool.close()
        with pytest.raises(DecoderFailed):
            waiting.result()
        assert not Path(f"/proc/{pid}").exists()
        with pytest.raises(DecoderFailed):
            pool.prepare(PNG)
        assert pool.exits == []


def test_a_file_too_large_for_the_memory_limit_is_too_expensive():
    with workers() as pool, pytest.raises(ImageTooExpensive, match="The file has 150,000,001 bytes"):
        pool.prepare(bytes(150_000_001))


PROGRAM = """
import sys, time
from app.images.prepare import Preparation
from app.images.worker_process import Limits
from app.images.workers import Workers
from tests.fakes import MeanColour

pool = Workers(Preparation(MeanColour(), 1000), processes=1, limits=Limits(300_000_000))
pool.start()
print(*pool.pids, flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
"""


@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_no_process_is_left_when_the_service_ends(ends):
    command = [sys.executable, "-c", PROGRAM, "wait" if ends == "killed" else ""]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        pid = int(service.stdout.readline())
        if ends == "killed":
            service.kill()
        service.wait(60)
    while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
        time.sleep(0.01)


WARNS = """
import io, numpy, PIL.Image
from app.images.prepare import Preparation
from app.images.worker_process import Limits
from app.images.workers import Workers
from tests.app.images.hostile import EXPENSIVE
from tests.fakes import Faulty, warn

file = io.BytesIO()
PIL.Image.new("RGB", (8, 8), (1, 2, 3)).save(file, "PNG")
pool = Workers(Preparation(Faulty(warn, (1, 2, 3)), 1000), processes=1, limits=Limits(300_000_000))
print(pool.prepare(file.getvalue()).facts.format)
"""


def test_the_warnings_of_libraries_about_clients_files_are_not_printed():
    done = subprocess.run([sys.executable, "-W", "always", "-c", WARNS], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("PNG\n", "")


def test_a_folder_that_is_too_long_for_sockets_is_named_in_the_error(tmp_path):
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    environment = os.environ | {"TMPDIR": str(folder)}
    command = [sys.executable, "-c", PROGRAM, ""]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "whose path has at most 75 characters" in done.stderr.splitlines()[-1]


def test_a_worker_imports_no_tensorflow_and_no_keras():
    code = "import sys, app.images.worker_process; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"tensorflow", "keras", "fastapi", "pydantic"} & set(modules)
    assert {"PIL.Image", "numpy"} <= set(modules)


def test_a_preprocessor_may_give_any_shape():
    with workers(Patches()) as pool:
        assert pool.prepare(PNG).pixels.shape == (5, 7)


@dataclass(frozen=True)
class Patches(MeanColour):
    """Another record than that of `MeanColour`."""

    shape = (5, 7)

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        return np.zeros(self.shape, np.uint8)


def test_a_reply_of_another_length_is_a_crash():
    with workers(WrongLength(), processes=1) as pool:
        with pytest.raises(DecoderFailed):
            pool.prepare(PNG)
        assert pool.exits == [CRASHED, CRASHED]


@dataclass(frozen=True)
class WrongLength(MeanColour):
    """Gives fewer bytes than its shape says."""

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        return np.zeros(3, np.uint8)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPENSIVE)
def test_a_file_that_would_take_minutes_is_given_up_and_the_next_one_is_read(name):
    make, frame = EXPENSIVE[name]
    with workers(processes=1) as pool:
        with pytest.raises(ImageTooExpensive):
            pool.prepare(make(), frame)
        assert tuple(pool.prepare(PNG).pixels[0, 0]) == GREEN
