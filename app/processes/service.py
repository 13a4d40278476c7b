"""A service of several processes, from its settings."""

import multiprocessing
import os
import socket
import tempfile
from contextlib import ExitStack
from multiprocessing.context import SpawnProcess
from pathlib import Path

from app.http.sockets import open_sockets
from app.inference.encoder import load_encoder, load_processor
from app.inference.image_input import decode_workers
from app.inference.shared_counts import SharedCounts
from app.observability.processes import FOLDER, forget
from app.processes import device_process, front_end
from app.processes.shared_folder import SharedFolder
from app.processes.supervisor import Supervisor
from app.settings import PREFIX, Settings, SettingsError

PROCESSES = multiprocessing.get_context("spawn")


def serve_processes(
    settings: Settings,
    load_encoder: device_process.LoadEncoder = load_encoder,
    load_processor: front_end.LoadProcessor = load_processor,
) -> int:
    """Serves with several processes until it is stopped. Returns the exit status: 1 if the service failed.

    Args:
        settings: The service's settings; `processes` is the number of front ends.
        load_encoder: Returns the encoder, in the device process, which imports it by its name.
        load_processor: Returns what prepares inputs, in a front end; likewise.

    Raises:
        SettingsError: The address or a file that the settings name cannot be used, or there are too few decode workers.
    """
    settings.read_keys()  # so that a mistake is reported once, and not by each front end
    settings.read_admin_keys()
    shares = shared_out(decode_workers(settings), settings.processes)
    with tempfile.TemporaryDirectory(prefix="siglip-") as path, ExitStack() as stack:
        sockets = [stack.enter_context(opened) for opened in open_sockets(settings.host, settings.port)]
        folder = SharedFolder(Path(path))
        folder.metrics.mkdir()
        os.environ[FOLDER] = str(folder.metrics)  # prometheus_client reads it in the processes that are started here
        SharedCounts.make(folder.counts, settings.processes + 2)
        counts = SharedCounts(folder.counts, settings.processes + 1)
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        try:
            listener.bind(str(folder.device))
        except OSError as error:
            raise SettingsError(
                f"{PREFIX}PROCESSES: no socket can be made in the folder for temporary files, {path}: {error}. "
                "Set TMPDIR to a folder with a short path"
            ) from None
        listener.listen()  # so that front ends can connect before the device process accepts them

        def start_device() -> SpawnProcess:
            return started(device_process.run, settings, folder, listener, load_encoder)

        def start_front_end(row: int) -> SpawnProcess:
            own = settings.model_copy(update={"decode_workers": shares[row]})
            return started(front_end.run, own, folder, row, sockets, load_processor)

        def on_end(row: int, pid: int) -> None:
            counts.clear(row)
            forget(pid, folder.metrics)

        def on_stop() -> None:
            for opened in sockets:
                opened.close()

        return Supervisor(start_device, start_front_end, on_end, on_stop).run(settings.processes)


def started(program: object, *arguments: object) -> SpawnProcess:
    """Returns a new process that runs a function."""
    process = PROCESSES.Process(target=program, args=arguments)  # type: ignore[arg-type]  # a function
    process.start()
    return process


def shared_out(workers: int, processes: int) -> list[int]:
    """Returns the number of decode workers of each front end.

    Raises:
        SettingsError: There are fewer workers than front ends.
    """
    if workers < processes:
        raise SettingsError(
            f"{PREFIX}PROCESSES: {processes} processes need as many decode workers, and there are {workers}; "
            f"set {PREFIX}DECODE_WORKERS, or fewer processes"
        )
    return [workers // processes + (row < workers % processes) for row in range(processes)]
