"""README and guides are correct: their tables, commands, shown responses and links.

Every fenced block is run, in order, in a folder that looks like a checkout, with the service at localhost:8000. A block
that starts the service replaces that service for the rest of the document. A block below `<!-- not run: REASON -->` is
not run; only its syntax is checked. A block below `<!-- answer -->` is compared with the output of the block before it.
"""

import ast
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from benchmarks.documents import DOCUMENTS, ROOT, TABLES, filled
from tests.documents import Block, blocks, shows

NAMES = [document.relative_to(ROOT).as_posix() for document in DOCUMENTS]
NEEDS = ("real weights", "Docker", "a cluster", "Redis", "SageMaker", "Vertex AI", "LangChain", "Chroma", "LiteLLM")
REASONS = (*(f"needs {each}" for each in NEEDS), "sets up")


class Service:
    """`python -m app serve` on a free port, with the embedded checkpoint."""

    def __init__(self, folder: Path, data: Path, command: str = "python -m app serve") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        settings = {"SIGLIP_PORT": str(self.port), "SIGLIP_LOG_FORMAT": "text", "SIGLIP_DRAIN_S": "0"}
        self.process = subprocess.Popen(
            ["bash", "-ec", command],
            cwd=folder,
            env=environment() | settings | {"SIGLIP_DATA_DIR": str(data)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stderr
        for line in self.process.stderr:
            if " ready: " in line:
                break
        else:
            pytest.fail(f"the service ended with status {self.process.wait()}")

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate(timeout=60)


class Reader:
    """Runs the blocks of a document in order, as a reader would type them."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.folder = folder
        for entry in ROOT.iterdir():
            if not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)
        self.service = self.first_service = service
        self.printed = ""

    def follow(self, block: Block) -> None:
        """Runs a block, compares it with the last output, or checks its syntax."""
        if block.mark.startswith("not run: "):
            assert block.mark.removeprefix("not run: ").startswith(REASONS), block
            check_syntax(block)
        elif block.mark == "answer":
            assert shows(block, self.printed), f"line {block.line} shows another output than:\n{self.printed}"
        elif block.language == "sh" and re.search(r"(-m app|siglip) serve\b", block.content):
            self.close()
            self.service = Service(self.folder, self.folder / "data", block.content)
        elif block.language in ("sh", "python"):
            self.run(block)
        else:
            check_syntax(block)

    def run(self, block: Block) -> None:
        content = block.content.replace("localhost:8000", f"127.0.0.1:{self.service.port}")
        command = ["bash", "-euo", "pipefail", "-c", content] if block.language == "sh" else ["python", "-c", content]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment() | {"SIGLIP_PORT": str(self.service.port)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"line {block.line} failed:\n{done.stdout}{done.stderr}"
        self.printed = done.stdout

    def close(self) -> None:
        if self.service is not self.first_service:
            self.service.stop()
            self.service = self.first_service


def environment() -> dict[str, str]:
    """Returns this process's environment without the service's settings, and with this Python first in PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIGLIP_", "AIP_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    # Only the blocks about engines need another one; TensorFlow converts nothing at its first start.
    engine = {"SIGLIP_ENGINE": "tensorflow"}
    return kept | engine | {"PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_DISABLE_TELEMETRY": "1"}


def check_syntax(block: Block) -> None:
    """Fails if a block is not valid in its language."""
    match block.language:
        case "sh":
            subprocess.run(["bash", "-n"], input=block.content, text=True, check=True)
        case "python":
            ast.parse(block.content)
        case "json":
            json.loads(block.content)
        case "yaml":
            list(yaml.safe_load_all(block.content))
        case other:
            pytest.fail(f"line {block.line}: no rule checks a block of language {other!r}")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    started = Service(ROOT, tmp_path_factory.mktemp("data"))
    yield started
    started.stop()


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_every_block_runs_and_prints_the_shown_output(document: Path, service: Service, tmp_path: Path) -> None:
    reader = Reader(tmp_path, service)
    try:
        for block in blocks(document):
            reader.follow(block)
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("language", "shown", "actual", "equal"),
    [
        ("json", '{"a": [1.0, "x"]}', '{"a": [1.0001, "x"]}', True),
        ("json", '{"a": [1.0, "x"]}', '{"a": [1.1, "x"]}', False),
        ("json", '{"id": "...", "b": 1}', '{"id": "7f", "b": 1}', True),
        ("json", '{"a": 1}', '{"a": 1, "b": 2}', False),
        ("text", "cat  0.4953", "cat 0.4954", True),
        ("text", "cat  0.4953", "dog 0.4953", False),
    ],
)
def test_a_different_output_is_found(language: str, shown: str, actual: str, equal: bool) -> None:
    assert shows(Block(1, "answer", language, shown), actual) is equal


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_the_tables_are_up_to_date(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m benchmarks.documents"


def test_every_table_is_in_exactly_one_document() -> None:
    marks = re.findall(
        r"<!-- table: (\w+) -->", "".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    )
    assert sorted(marks) == sorted(TABLES)


@pytest.mark.parametrize("name", [*NAMES, "CONTRIBUTING.md", "CHANGELOG.md", "app/static/samples/README.md"])
def test_every_relative_link_has_a_target(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for file, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]+))?\)", text):
        target = (ROOT / name).parent / file if file else ROOT / name
        assert target.exists(), f"{name}: {file}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in map(anchor, titles), f"{name}: {file}#{heading}"


def anchor(title: str) -> str:
    """Returns the anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_contributing_lists_every_top_level_file() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for package in ("app", "model"):
        listed = text.split(f"\n{package}/ ")[1].split("\n\n")[0]
        for path in sorted((ROOT / package).glob("*.py")):
            assert path.name in ("__init__.py",) or path.name in listed, (
                f"CONTRIBUTING.md does not list {package}/{path.name}"
            )
