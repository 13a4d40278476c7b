"""Tools and facts for the tests of the deployment files: linters, the Dockerfile's content, and the settings."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parent.parent.parent


def tool(name: str, *arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Runs a program from this virtual environment or from PATH. Skips the test if it is not installed."""
    scripts = Path(sys.executable).parent
    found = shutil.which(name, path=f"{scripts}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return subprocess.run([found, *arguments], cwd=folder, capture_output=True, text=True, check=False)


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Returns the Dockerfile's instructions with continued lines joined: [("FROM", "python"), ...]."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines()) if word]


def final_stage() -> dict[str, str]:
    """Returns the instructions of the Dockerfile's last stage. If one is repeated, its last value counts."""
    found = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    start = max(index for index, (word, _) in enumerate(found) if word == "FROM")
    return dict(found[start:])


def image_environment() -> dict[str, str]:
    """Returns the environment variables of the image if it is built without arguments."""
    pairs = re.findall(r"(\w+)=(\S+)", final_stage()["ENV"])
    return {name: re.sub(r"\$\{.*?\}", "", value) for name, value in pairs}


def settings_of(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Returns the settings of a container with these variables. Variables of this process are ignored."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for name, value in (image_environment() | dict(environment)).items():
        if name.startswith(PREFIX):
            monkeypatch.setenv(name, value)
    return load_settings()
