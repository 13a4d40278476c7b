"""The program of the device process: it loads the model and computes the rows of all front ends."""

import asyncio
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable

from app.inference.device_server import DeviceServer
from app.inference.encoder import Encoder, OnStage, logged
from app.inference.local_device import LocalDevice
from app.inference.shared_counts import SharedCounts
from app.observability.logs import configure_logging
from app.observability.metrics import Metrics
from app.processes.shared_folder import SharedFolder
from app.settings import Settings
from model.config import CheckpointError

LoadEncoder = Callable[[Settings, OnStage], Encoder]

log = logging.getLogger("app")


def run(settings: Settings, folder: SharedFolder, listener: socket.socket, load_encoder: LoadEncoder) -> None:
    """Computes until the supervisor stops or ends, or until the device fails. Ends the process.

    Args:
        settings: The service's settings.
        folder: The folder of this service.
        listener: The socket where front ends connect.
        load_encoder: Returns the encoder, not yet warmed up.
    """
    os.setsid()  # a terminal's Ctrl-C is for the supervisor
    configure_logging(settings.log_format)
    SharedCounts(folder.counts, settings.processes)  # shows this process's id
    failed = asyncio.run(compute(settings, listener, load_encoder))
    # A load in progress, or a device that hangs. A normal exit would abort a thread inside TensorFlow.
    logging.shutdown()
    os._exit(int(failed))


async def compute(settings: Settings, listener: socket.socket, load_encoder: LoadEncoder) -> bool:
    """Serves the device until it must stop. Returns whether it has failed."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[bool] = loop.create_future()

    def stop(failed: bool) -> None:
        if not stopped.done():
            stopped.set_result(failed)

    def on_death() -> None:
        loop.call_soon_threadsafe(stop, True)

    loop.add_signal_handler(signal.SIGTERM, stop, False)
    if parent := multiprocessing.parent_process():
        loop.add_reader(parent.sentinel, stop, False)
    server = DeviceServer()
    device = LocalDevice(
        lambda on_stage: load_encoder(settings, logged(on_stage)),
        settings,
        Metrics(),
        on_death,
    )
    await server.listen(listener)
    loading = asyncio.create_task(load(device, server, stop))
    try:
        return await stopped
    finally:
        loading.cancel()


async def load(device: LocalDevice, server: DeviceServer, stop: Callable[[bool], None]) -> None:
    """Loads the model and reports it to the front ends. Stops the process if that fails."""
    try:
        loaded = await device.load(server.set_stage)
    except CheckpointError as error:  # its message is for people
        log.error("cannot start: %s", " ".join(str(error).split()))  # noqa: TRY400 (no traceback)
        stop(True)
    except Exception:
        log.exception("cannot start")
        stop(True)
    else:
        server.set_loaded(loaded)
