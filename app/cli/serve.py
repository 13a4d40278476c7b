"""`siglip serve`: runs the HTTP service."""

import argparse
import logging
import os

from app.cli import MISTAKE, as_command_error
from app.cli.setting_flags import add_setting_flags, flaggable, given_flags
from app.environment import provide_home, service_links
from app.http.server import Server
from app.http.sockets import open_sockets
from app.inference.encoder import Encoder
from app.main import create_app
from app.observability.logs import configure_logging
from app.observability.tracing import Tracing, start_tracing
from app.processes.service import serve_processes
from app.settings import PREFIX, Settings, SettingsError, load_settings

log = logging.getLogger("app")


def main(arguments: list[str]) -> int:
    """Serves until it is stopped. Returns 1 if the model cannot be loaded, or if its device thread ends."""
    parser = argparse.ArgumentParser(
        prog="siglip serve",
        allow_abbrev=False,
        description="Runs the HTTP service. Every flag is also an environment variable; a flag takes precedence.",
        epilog=f"API keys are never flags, because a process list would show them: use {PREFIX}API_KEYS or "
        f"--api-keys-file.",
    )
    add_setting_flags(parser, flaggable())
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no remarks on how TensorFlow was built
    home = provide_home(os.environ, os.path.expanduser("~"))
    with as_command_error(SettingsError, status=MISTAKE):
        settings = load_settings(**given_flags(options, flaggable()))
        configure_logging(settings.log_format)
        if home:
            log.warning(home)
        if links := service_links(os.environ):
            log.info("ignored, because Kubernetes sets them for a Service: %s", ", ".join(links))
        if settings.processes > 1:
            return serve_processes(settings)
        return serve(settings, tracing=start_tracing())


def serve(settings: Settings, encoder: Encoder | None = None, tracing: Tracing | None = None) -> int:
    """Serves until it is stopped. Returns the exit status: 1 if the service failed.

    Raises:
        SettingsError: The address cannot be used, or a file that the settings name.
    """
    sockets = open_sockets(settings.host, settings.port)
    app = create_app(settings, encoder, lambda: server.fail(), tracing)  # noqa: PLW0108 (made next)
    server = Server(app, settings)
    server.run(sockets)
    if app.state.engine.computing:
        # A load in progress, or a device that hangs. A normal exit would abort a thread inside TensorFlow.
        logging.shutdown()
        os._exit(int(server.failed))
    return int(server.failed)
