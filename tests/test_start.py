"""The whole start in a process of its own: a hub, a download, a self-test, an answer; or a reason."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
from safetensors.numpy import load_file, save_file

from model.config import EMBEDDED, EMBEDDED_DIRECTORY
from tests.hub import HUB_ID, Hub

ROOT = Path(__file__).parent.parent
EMBEDDED_CHECKPOINT = EMBEDDED_DIRECTORY / EMBEDDED[1]


@contextmanager
def served(log: Path, environment: Mapping[str, str]) -> Iterator[httpx.Client]:
    """Runs `python -m app serve`, its standard error going to `log`, and yields a client once it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {"SIGLIP_PORT": port, "SIGLIP_MAX_BATCH": "3", "SIGLIP_DRAIN_S": "0"}
    settings["SIGLIP_DATA_DIR"] = str(log.parent / "data")
    with log.open("w") as stderr:
        server = subprocess.Popen(
            [sys.executable, "-m", "app", "serve"], cwd=ROOT, env={**environment, **settings}, stderr=stderr
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while server.poll() is None and not listens(int(port)):
                time.sleep(0.1)
            yield client
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def startup(client: httpx.Client) -> tuple[int, str]:
    """Returns status and detail of the startup probe, after a pause in which the server has the processor."""
    time.sleep(0.1)
    answer = client.get("/health/startup")
    return answer.status_code, answer.json().get("detail", "")


def test_a_checkpoint_from_the_hub_is_downloaded_tested_and_served(tmp_path):
    arrived = threading.Event()
    with Hub(EMBEDDED_CHECKPOINT, hold=arrived) as hub:
        environment = hub.environment(tmp_path, SIGLIP_WEIGHTS=HUB_ID, SIGLIP_LOG_FORMAT="json")
        with served(tmp_path / "log", environment) as client:
            while (probe := startup(client)) != (503, "The model is not ready: downloading 84 %."):
                assert probe[0] == 503
            assert client.get("/health/live").status_code == 200
            arrived.set()
            while (probe := startup(client))[0] == 503:
                pass
            assert probe == (200, "")
            picture = (ROOT / "samples/cat.png").read_bytes()
            answer = client.post("/classify", files={"image": picture}, data={"labels": ["dog", "cat", "car"]}).json()
    assert answer["model"]["weights"] == HUB_ID
    assert [score["label"] for score in answer["scores"]] == ["cat", "dog", "car"]
    lines = (tmp_path / "log").read_text().splitlines()
    # TensorFlow's own first words are no JSON; nothing else may be none, such as a progress bar.
    messages = [json.loads(line)["message"] for line in lines if not re.match("WARNING: All log|[IW]0000 ", line)]
    assert [message for message in messages if hub.url in message or hub.cdn_url in message] == []
    ready = f"ready: SigLIPTinyP16 {HUB_ID} on CPU, float32"
    told = [message for message in messages if message in ("downloading 0 %", "downloading 100 %", "loading", ready)]
    assert told == ["downloading 0 %", "downloading 100 %", "loading", ready]


def test_a_checkpoint_that_fails_its_self_test_ends_the_process_with_one_line(tmp_path):
    directory = shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "broken")
    tensors = load_file(directory / "model.safetensors")
    tensors["text_model.head.weight"][1, 2] = float("nan")
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
    settings = {
        "SIGLIP_WEIGHTS": str(directory),
        "SIGLIP_DATA_DIR": str(tmp_path / "data"),
        "SIGLIP_PORT": "0",
        "SIGLIP_MAX_BATCH": "1",
        "SIGLIP_LOG_FORMAT": "text",
    }
    done = subprocess.run(
        [sys.executable, "-m", "app", "serve"],
        cwd=ROOT,
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if " ERROR " in line]
    assert line.endswith("cannot start: self-test: not all numbers are finite in text_model.head.weight")
    assert "Traceback" not in done.stderr
