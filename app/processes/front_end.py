"""The program of a front end: the whole service except the towers, on the sockets that the supervisor has opened."""

import os
import socket
import sys
from collections.abc import Callable, Sequence

from app.http.server import Server
from app.inference.encoder import Processor
from app.inference.model_facts import ModelFacts
from app.inference.remote_device import RemoteDevice
from app.inference.shared_counts import SharedCounts
from app.main import create_app
from app.observability.logs import configure_logging
from app.observability.tracing import start_tracing
from app.processes.shared_folder import SharedFolder
from app.settings import Settings

LoadProcessor = Callable[[ModelFacts], Processor]


def run(
    settings: Settings, folder: SharedFolder, row: int, sockets: Sequence[socket.socket], load_processor: LoadProcessor
) -> None:
    """Serves until it is stopped. Exits with status 1 if it could not start, or if the device process has ended.

    Args:
        settings: The service's settings, with this process's share of the decode workers.
        folder: The folder of this service.
        row: The number of this front end.
        sockets: Where it listens, together with the other front ends.
        load_processor: Returns what prepares inputs for the model that the device process has loaded.
    """
    os.setsid()  # a terminal's Ctrl-C is for the supervisor, which passes it on
    configure_logging(settings.log_format)
    app = create_app(
        settings,
        on_failure=lambda: server.fail(),  # noqa: PLW0108 (made next)
        tracing=start_tracing(),
        device=RemoteDevice(str(folder.device), load_processor, settings, lambda: server.fail()),  # noqa: PLW0108 (made next)
        shared=SharedCounts(folder.counts, row),
    )
    server = Server(app, settings)
    server.run(list(sockets))
    sys.exit(int(server.failed))
