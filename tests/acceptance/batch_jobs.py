"""Jobs of `siglip batch` for the acceptance tests: their images, their processes and their results."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow.parquet import read_table

from tests.app.image_files import encoded, plain_image

ROOT = Path(__file__).parents[2]
NUM_IMAGES, NUM_BROKEN = 400, 8
SETTINGS = {"SIGLIP_MAX_BATCH": "8", "SIGLIP_DECODE_WORKERS": "1", "PYTHONPATH": str(ROOT)}


def write_images(folder: Path, count: int = NUM_IMAGES) -> Path:
    """Writes images of different colours into a folder, every fiftieth of which is damaged."""
    folder.mkdir(parents=True)
    for number in range(count):
        content = encoded(plain_image((number % 250, number // 250, 90)))
        (folder / f"{number:04}.png").write_bytes(content[: 50 if number % 50 == 7 else None])
    return folder


def start(*arguments: Any, module: str = "tests.acceptance.batch_command", **variables: str) -> subprocess.Popen[str]:
    """Starts the command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=kept | SETTINGS | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Waits for a command that must succeed, and returns what it printed."""
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output


def result(out: Path | str, filesystem: Any = None) -> pyarrow.Table:
    """Returns all rows, sorted by path."""
    return read_table(out, filesystem=filesystem).sort_by("path")


def check_complete(table: pyarrow.Table, count: int = NUM_IMAGES) -> None:
    """Checks that every image is in the result exactly once, and has scores or an error."""
    names = [path.rpartition("/")[2] for path in table.column("path").to_pylist()]
    assert names == [f"{number:04}.png" for number in range(count)]
    errors = [error for error in table.column("error").to_pylist() if error]
    assert len(errors) == len([number for number in range(count) if number % 50 == 7])
    assert table.column("label").null_count == len(errors)
