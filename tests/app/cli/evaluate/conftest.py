"""A folder of labelled images, and the whole command with the fake encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli.evaluate.command import main
from tests.app.cli.evaluate.colour_folder import write_folder
from tests.fakes import FakeEncoder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with three labels of six images each."""
    return write_folder(tmp_path / "data", 6)


@pytest.fixture
def run(tmp_path, capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs the command. Returns its status, stdout and stderr."""

    def run(*arguments: Any, encoder: FakeEncoder | None = None) -> tuple[int, str, str]:
        given = [str(argument) for argument in arguments]
        status = main([*given, "--cache", str(tmp_path / "cache")], lambda *_: encoder or FakeEncoder())
        return status, *capsys.readouterr()

    return run
