"""The command line: `python -m app serve`."""

import argparse
import os
import sys

import uvicorn

from app.config import SettingsError, load_settings, settings_table
from app.engine import FAILED
from app.main import create_app
from app.telemetry import configure_logging


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, 1 for a failure, 2 for a user's mistake, which is told in one line."""
    parser = argparse.ArgumentParser(prog="python -m app", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_serve(commands)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status


def add_serve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `serve`."""
    parser = commands.add_parser(
        "serve",
        help="answer over HTTP",
        description="Answers over HTTP. All settings are environment variables.",
        epilog=f"settings, defaults and meanings:\n{settings_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=serve)


def serve(_options: argparse.Namespace) -> int:
    """Serves until it is told to stop; 1 if the model cannot be loaded."""
    settings = load_settings()
    configure_logging(settings.log_format)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's remarks on its own build

    def stop() -> None:
        server.should_exit = True

    app = create_app(settings, on_load_failure=stop)
    # Logging is configured, and there is one line a request, by `telemetry`.
    config = uvicorn.Config(app, settings.host, settings.port, log_config=None, access_log=False, server_header=False)
    server = uvicorn.Server(config)
    try:
        server.run()
    except KeyboardInterrupt:
        return 130
    return 1 if app.state.engine.stage == FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
