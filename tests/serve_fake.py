"""Runs the service with the fake encoder: `python -m tests.serve_fake BEHAVIOUR`."""

import sys
import threading
import time
from dataclasses import replace
from functools import partial

from app.cli.serve import serve
from app.inference.encoder import OnStage
from app.inference.model_facts import ModelFacts
from app.observability.logs import configure_logging
from app.processes.service import serve_processes
from app.settings import Settings, load_settings
from tests.fakes import INFO, FakeEncoder


def end_thread() -> None:
    raise SystemExit


def wait_forever() -> None:
    threading.Event().wait()


BEHAVIOURS = {
    "works": FakeEncoder(),
    "slow": FakeEncoder(before_batch=lambda: time.sleep(0.3)),
    "dies": FakeEncoder(before_batch=end_thread),
    "sticks": FakeEncoder(before_batch=wait_forever),
    "other checkpoint": FakeEncoder(info=replace(INFO, sha256="1" * 64)),
    "never loads": FakeEncoder(before_warm_up=wait_forever),
}


def load(behaviour: str, settings: Settings, on_stage: OnStage) -> FakeEncoder:
    """Returns the encoder, in the device process."""
    return BEHAVIOURS[behaviour]


def load_processor(facts: ModelFacts) -> FakeEncoder:
    """Returns what prepares inputs, in a front end."""
    return FakeEncoder()


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings.log_format)
    if settings.processes > 1:
        sys.exit(serve_processes(settings, partial(load, sys.argv[1]), load_processor))
    sys.exit(serve(settings, BEHAVIOURS[sys.argv[1]]))
