import multiprocessing
import os
import signal
import time
from multiprocessing.context import SpawnProcess

import pytest

from app.processes.supervisor import Supervisor, how

pytestmark = pytest.mark.slow  # processes start

SPAWN = multiprocessing.get_context("spawn")


def run_until_a_signal() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    time.sleep(600)


def exit_with(status: int) -> None:
    os._exit(status)


def start(program, *arguments) -> SpawnProcess:
    process = SPAWN.Process(target=program, args=arguments)
    process.start()
    return process


@pytest.fixture(autouse=True)
def _handlers():
    """Puts back the signal handlers that a supervisor sets."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Service:
    """A supervisor of processes that do nothing, and what it reports."""

    def __init__(self, front_ends: list[tuple], device: tuple = (run_until_a_signal,)) -> None:
        self.programs = iter(front_ends)
        self.device = device
        self.started: list[SpawnProcess] = []
        self.ended: list[tuple[int, int]] = []
        self.stopped = 0

    def start(self, *program) -> SpawnProcess:
        self.started.append(start(*program))
        return self.started[-1]

    def stop(self) -> None:
        self.stopped += 1

    def run(self, front_ends: int) -> int:
        supervisor = Supervisor(
            lambda: self.start(*self.device),
            lambda row: self.start(*next(self.programs)),
            lambda row, pid: self.ended.append((row, pid)),
            self.stop,
        )
        return supervisor.run(front_ends)


def test_a_front_end_that_ends_is_replaced_until_one_cannot_start():
    service = Service([(run_until_a_signal,), (exit_with, 0), (exit_with, 3), (exit_with, 1)])
    assert service.run(2) == 1
    assert service.ended == [(1, process.pid) for process in service.started[2:]]
    assert service.stopped == 1
    assert all(process.exitcode is not None for process in service.started)  # the device process, and the other one


def test_if_the_device_process_ends_so_do_the_front_ends():
    service = Service([(run_until_a_signal,), (run_until_a_signal,)], (exit_with, 7))
    assert service.run(2) == 1
    assert service.started[0].exitcode == 7
    assert all(process.exitcode is not None for process in service.started)


def test_how_a_process_has_ended_is_said_by_its_status_or_the_signals_name():
    processes = [start(exit_with, 3), start(run_until_a_signal)]
    processes[1].kill()
    for process in processes:
        process.join()
    assert [how(process) for process in processes] == ["status 3", "signal SIGKILL"]
