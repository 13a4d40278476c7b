"""`python -m app`: makes the process ready, then runs the command line in `app.cli.command_line`."""

import atexit
import os
import signal
import sys
from contextlib import suppress


def stop(signal_number: int, _frame: object) -> None:
    """Ends the process at once: it has not begun to serve, or it is a command that nobody waits for."""
    os._exit(0 if sys.argv[1:2] == ["serve"] else 128 + signal_number)


def run() -> None:
    """Runs the command that the process's arguments name, and exits with its status."""
    # Before the imports, which take seconds. The first process of a container ignores SIGTERM until it has a handler.
    signal.signal(signal.SIGTERM, stop)
    # prometheus_client reads it as it is imported, and would keep its numbers in files, for several processes to share.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    # Closed by the caller; without them, the next files that are opened would take their places.
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115 (until the end)
    # Any file name and any label can be written.
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]  # a TextIO here
    from app.cli.command_line import main

    if status := main():
        with suppress(OSError):
            sys.stdout.flush()
        # The interpreter would wait for threads that wait for a service. The exit functions remove temporary files.
        atexit._run_exitfuncs()
        os._exit(status)


if __name__ == "__main__":
    run()
