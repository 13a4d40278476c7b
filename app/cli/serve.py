"""`python -m app serve`: the service."""

import argparse
import os

from app.cli import MISTAKE, as_command_error
from app.http.server import serve
from app.observability.logs import configure_logging
from app.observability.tracing import start_tracing
from app.settings import SettingsError, load_settings, settings_table


def main(arguments: list[str]) -> int:
    """Serves until it is told to stop; 1 if the model cannot be loaded, or its device thread ends."""
    parser = argparse.ArgumentParser(
        prog="python -m app serve",
        description="Answers over HTTP. All settings are environment variables.",
        epilog=f"settings, defaults and meanings:\n{settings_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks on its own build
    with as_command_error(SettingsError, status=MISTAKE):
        settings = load_settings()
        configure_logging(settings.log_format)
        return serve(settings, tracing=start_tracing())
