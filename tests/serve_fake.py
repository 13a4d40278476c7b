"""Runs the service with the fake encoder: `python -m tests.serve_fake BEHAVIOUR`."""

import sys
import threading
import time

from app.cli.serve import serve
from app.observability.logs import configure_logging
from app.settings import load_settings
from tests.fakes import FakeEncoder


def end_thread() -> None:
    raise SystemExit


def wait_forever() -> None:
    threading.Event().wait()


BEHAVIOURS = {
    "works": FakeEncoder(),
    "slow": FakeEncoder(before_batch=lambda: time.sleep(0.3)),
    "dies": FakeEncoder(before_batch=end_thread),
    "sticks": FakeEncoder(before_batch=wait_forever),
    "never loads": FakeEncoder(before_warm_up=wait_forever),
}

if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings.log_format)
    sys.exit(serve(settings, BEHAVIOURS[sys.argv[1]]))
