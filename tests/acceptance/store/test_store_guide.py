"""The commands in docs/store.md that need a Redis, in order, with real services."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.label_sets.sqlite_tables import FILE, open_file, put
from app.label_sets.store import Stored
from benchmarks.documents import ROOT
from tests.acceptance.store.redis_server import RedisServer
from tests.documents import blocks
from tests.test_docs import environment

GUIDE = ROOT / "docs" / "store.md"
MARK = "not run: needs Redis; make acceptance runs it"
READY = "until curl -sf localhost:8001/health/ready && curl -sf localhost:8002/health/ready; do sleep 0.2; done"
CHECK = "until curl -s localhost:8002/label-sets/moved | grep boat; do sleep 0.2; done"


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout whose data folder has a label set."""
    for entry in ROOT.iterdir():
        if not entry.name.startswith("."):
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "data").mkdir()
    with closing(open_file(tmp_path / "data")) as connection:
        put(connection, "moved", Stored(1, '{"format": 1, "labels": ["boat"]}'))
    return tmp_path


def test_the_commands_work(folder: Path, server: RedisServer) -> None:
    services, change, *rest = [block.content for block in blocks(GUIDE) if block.mark == MARK]
    script = "\n".join(["set -euo pipefail", services, READY, change, *rest, CHECK, "kill $(jobs -p)", "wait || true"])
    ports = dict(zip(("6379", "8001", "8002", "8003"), [server.port, *free_ports(3)], strict=True))
    script = re.sub(r"\b(6379|800[123])\b", lambda found: str(ports[found[1]]), script)
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment() | {"SIGLIP_DRAIN_S": "0", "SIGLIP_LOG_FORMAT": "text"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        printed, log = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert process.returncode == 0, printed + log
    assert '"label":"cat"' in printed
    assert "stored moved: labels 1" in printed
    assert (folder / "backup.rdb").stat().st_size > 0
    with closing(sqlite3.connect(folder / "data" / FILE)) as connection:
        assert connection.execute("SELECT name FROM label_sets").fetchall() == [("moved",)]
