"""Runs `siglip batch` with a fake encoder that takes its time: `python -m tests.acceptance.batch_command ARGUMENTS`."""

import sys
import time
from collections.abc import Callable

from app.cli import CommandError
from app.cli.batch import main
from app.settings import Settings
from tests.fakes import FakeEncoder

BATCH_S = 0.1  # so that a job can be interrupted


def load(_settings: Settings, _on_stage: Callable[[str], None]) -> FakeEncoder:
    """Returns the encoder."""
    return FakeEncoder(before_batch=lambda: time.sleep(BATCH_S))


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], load))
    except CommandError as error:  # as `siglip` shows it
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.status)
