import multiprocessing
import socket

import pytest

from app.inference.encoder import OnStage
from app.inference.shared_counts import SharedCounts
from app.processes import device_process
from app.processes.shared_folder import SharedFolder
from app.settings import Settings
from model.config import CheckpointError
from tests.fakes import FakeEncoder

SPAWN = multiprocessing.get_context("spawn")


def fail(settings: Settings, on_stage: OnStage) -> FakeEncoder:
    raise CheckpointError("there is no checkpoint")


def wait_for_ever(settings: Settings, on_stage: OnStage) -> FakeEncoder:
    multiprocessing.Event().wait()
    raise AssertionError


@pytest.mark.slow  # a process starts
@pytest.mark.parametrize(("load", "status"), [(fail, 1), (wait_for_ever, 0)])
def test_it_ends_as_failed_if_it_cannot_load_and_at_once_if_it_is_stopped(tmp_path, load, status):
    folder = SharedFolder(tmp_path)
    SharedCounts.make(folder.counts, 3)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as front_end:
        listener.bind(str(folder.device))
        listener.listen()
        arguments = Settings(log_format="text"), folder, listener, load
        process = SPAWN.Process(target=device_process.run, args=arguments)
        process.start()
        front_end.connect(str(folder.device))
        assert front_end.recv(100)  # the stage: its handlers are set
        if status == 0:
            process.terminate()
        process.join()
        assert process.exitcode == status
