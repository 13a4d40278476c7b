"""Runs the service, or another server, in a separate process for benchmarks over HTTP."""

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

ROOT = Path(__file__).parent.parent
ENGINES = {  # name in tables -> argument of `engine_settings`
    "TensorFlow": "tensorflow",
    "OpenVINO": "openvino",
    "OpenVINO, int8": "openvino/int8",
}


@contextmanager
def running(checkout: Path = ROOT, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yields the process and the address of a checkout's service once it is ready, and ends it after the block.

    Requests may take 900 s. The canary never runs, because it would compute while another process is measured.
    """
    with tempfile.TemporaryDirectory() as folder:
        defaults = {"DATA_DIR": folder, "DRAIN_S": "0", "CANARY_S": "86400", "REQUEST_TIMEOUT_S": "900"}
        process, address = launch(["app", "serve"], environment(**defaults | settings), " ready: ", folder=checkout)
        try:
            yield process, address
        finally:
            process.terminate()
            process.wait()


def environment(**settings: str) -> dict[str, str]:
    """Returns this process's environment with only these settings of the service, and any free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    return kept | {f"SIGLIP_{name}": value for name, value in ({"PORT": "0", "LOG_FORMAT": "text"} | settings).items()}


def engine_settings(path: str) -> dict[str, str]:
    """Returns the settings for an engine and a dtype, such as `openvino/int8`, or `openvino` for the default dtype."""
    engine, _, dtype = path.partition("/")
    return {"ENGINE": engine, "DTYPE": dtype or "auto"}


def launch(
    module: list[str],
    environment: dict[str, str],
    ready: str,
    on_line: Callable[[str], None] = lambda line: None,
    folder: Path = ROOT,
) -> tuple[subprocess.Popen[str], str]:
    """Starts a server and returns its process and its address once it has logged a line that contains `ready`.

    `on_line` is called with each line. If the server ends before it is ready, this process exits with its last line.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *module],
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    address = line = ""
    stderr = cast("IO[str]", process.stderr)
    for line in stderr:
        on_line(line)
        if found := re.search(r"listening on (http://\S+)", line):
            address = found[1]
        if ready in line:
            break
    else:
        given = {name: value for name, value in environment.items() if name.startswith("SIGLIP_")}
        sys.exit(f"{' '.join(module)} ended with status {process.wait()}: {line.strip()} Settings: {given}")
    drain = threading.Thread(target=stderr.read, daemon=True)  # a full pipe would stop the service
    drain.start()
    return process, address


def usage(process_id: int) -> dict[str, int]:
    """Returns a process's current memory, threads and open files."""
    status = Path(f"/proc/{process_id}/status").read_text()
    names = ("VmRSS", "RssAnon", "RssFile", "Threads")
    fields = {name: int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in names}  # type: ignore[index]  # each is there
    return {
        "resident_bytes": fields["VmRSS"] * 1024,
        "anonymous_bytes": fields["RssAnon"] * 1024,
        "file_backed_bytes": fields["RssFile"] * 1024,
        "threads": fields["Threads"],
        "open_files": len(list(Path(f"/proc/{process_id}/fd").iterdir())),
    }
