"""The README says what the code does: its tables, its commands and their answers."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from benchmarks.readme import README, blocks, filled

ROOT = README.parent
TEXT = README.read_text(encoding="utf-8")
BLOCKS = {mark: content for mark, _, content in blocks(TEXT)}


def test_the_tables_are_those_of_the_code() -> None:
    assert filled(TEXT) == TEXT, "run: python -m benchmarks.readme"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Serves the embedded checkpoint as `make run` does, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    server = subprocess.Popen(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env=environment
        | {
            "SIGLIP_PORT": str(number),
            "SIGLIP_LOG_FORMAT": "text",
            "SIGLIP_DRAIN_S": "0",
            "SIGLIP_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    for line in server.stderr:
        if " ready: " in line:
            break
    else:
        pytest.fail(f"the server has ended with status {server.wait()}")
    yield number
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=60)


def test_the_first_command_gets_the_answer_that_is_shown(port: int) -> None:
    command = BLOCKS["run: classify"].strip().replace("localhost:8000", f"127.0.0.1:{port}")
    done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, text=True, check=True)
    answer, shown = json.loads(done.stdout), json.loads(BLOCKS["answer: classify"])
    assert answer["scores"][0]["label"] == "cat"
    assert [score["label"] for score in answer["scores"]] == [score["label"] for score in shown["scores"]]
    for ours, theirs in zip(answer.pop("scores"), shown.pop("scores"), strict=True):
        for name in ("logit", "sigmoid", "softmax"):
            # Another processor adds in another order.
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
    assert answer == shown


def test_a_label_set_is_stored_and_asked_for_as_shown(port: int) -> None:
    lines = BLOCKS["run: label_set"].replace("\\\n", "").replace("localhost:8000", f"127.0.0.1:{port}").splitlines()
    stored, answer = (
        json.loads(subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, check=True).stdout)
        for line in lines
    )
    assert (stored["name"], stored["size"]) == ("pets", 2)
    assert [score["label"] for score in answer["scores"]] == ["cat", "dog"]


def test_the_library_lines_work_and_find_the_cat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(BLOCKS["run: library"], names)  # noqa: S102 (it is ours)
    preds = np.asarray(names["preds"])
    assert preds.shape == (3,)
    assert preds.argmax() == 2


def test_every_relative_link_leads_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (ROOT / Path(link)).exists(), f"{name}: {link}"


def test_the_house_in_contributing_is_the_house() -> None:
    picture = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for room in ("app", "model"):
        drawn = picture.split(f"\n{room}/ ")[1].split("\n\n")[0]
        for path in sorted((ROOT / room).glob("*.py")):
            assert path.name in ("__init__.py",) or path.name in drawn, f"{room}/{path.name} is not in the picture"
