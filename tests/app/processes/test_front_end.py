import multiprocessing
import socket

import pytest

from app.inference.encoder import load_processor
from app.inference.shared_counts import SharedCounts
from app.processes import front_end
from app.processes.shared_folder import SharedFolder
from app.settings import Settings


@pytest.mark.slow  # a process starts
def test_without_a_device_process_it_ends_as_failed(tmp_path):
    folder = SharedFolder(tmp_path)
    SharedCounts.make(folder.counts, 3)
    settings = Settings(log_format="text", data_dir=tmp_path, drain_s=0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        arguments = settings, folder, 0, [listener], load_processor
        process = multiprocessing.get_context("spawn").Process(target=front_end.run, args=arguments)
        process.start()
        process.join()
    assert process.exitcode == 1
