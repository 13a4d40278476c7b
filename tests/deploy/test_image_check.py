"""`make image-check` on a stand-in: a tool whose containers are plain processes, and a server of a few lines."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import ROOT, tool

# What the script asks of a tool. It keeps what it was asked to build; "the image" is a file beside it.
TOOL = """
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
command, tag, *rest = sys.argv[1:]
if command == "build":
    (folder / "built.json").write_text(json.dumps([tag, *rest]))
elif command == "inspect":
    print(json.dumps({"Docker": {"config": json.loads((folder / "image.json").read_text())}}))
elif command == "run":
    assert rest[0] == "--user" and rest[2] == "--"
    os.execvp(rest[3], rest[3:])
"""
SERVER = """
import http.server, json, os, signal, sys
label, status = sys.argv[1], int(sys.argv[2])

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, body, status=200):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = lambda self: self.answer({"status": "ready"}, 404 if self.path.startswith(f"/{label}") else 200)
    do_POST = lambda self: self.answer({"scores": [{"label": label}]})
    log_message = lambda *_: None

signal.signal(signal.SIGTERM, lambda *_: os._exit(status))
if label == "nothing":
    sys.exit(7)
http.server.HTTPServer(("127.0.0.1", int(os.environ["SIGLIP_PORT"])), Handler).serve_forever()
"""


def image(label: str = "cat", status: int = 0, **changes: Any) -> dict[str, Any]:
    """Returns the configuration of an image whose server puts this label first and ends with this status."""
    return {
        "User": "10001:10001",
        "Entrypoint": [sys.executable, "-c"],
        "Cmd": [SERVER, label, str(status)],
        "Healthcheck": {"Test": ["CMD", sys.executable, "-m", "app.healthcheck"]},
    } | changes


def image_check(folder: Path, configuration: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Runs the script as make does."""
    (folder / "tool.py").write_text(TOOL)
    (folder / "image.json").write_text(json.dumps(configuration))
    command = [
        sys.executable,
        "deploy/image_check.py",
        f"--tool={sys.executable} {folder / 'tool.py'}",
        "--build=--pull",
        "cpu",
    ]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_an_image_that_does_all_of_it_passes(tmp_path: Path) -> None:
    done = image_check(tmp_path, image())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("seen: ") == 8
    assert json.loads((tmp_path / "built.json").read_text()) == [
        "siglip-check:cpu",
        "--build-arg",
        "FLAVOUR=cpu",
        "--pull",
    ]


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        (image(User="0:0"), "not root"),
        (image(User="siglip"), "not root"),
        (image(Entrypoint=["/bin/sh", "-c"]), "no shell"),
        (image(Healthcheck={"Test": ["CMD-SHELL", "true"]}), "no shell"),
        (image(label="nothing"), "ended with 7"),
        (image(label="dog"), "is a cat"),
        (image(label="page"), "the page and its samples are inside: [200, 404]"),
        (image(status=3), "SIGTERM ends it with 0: 3"),
        (image(Healthcheck={"Test": ["CMD", "false"]}), "ends with 0 beside it: 1"),
        (image(Healthcheck={"Test": ["CMD", "true"]}), "ends with 1 once it is gone: 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_image_that_does_not_fails_with_the_reason(
    tmp_path: Path, configuration: dict[str, Any], reason: str
) -> None:
    done = image_check(tmp_path, configuration)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: cpu: ")
    assert reason in done.stderr


def test_an_engine_is_asked_in_its_own_words(tmp_path: Path) -> None:
    """Docker's client is a process without children, which hands on SIGTERM and the status."""
    engine = tmp_path / "docker"
    engine.write_text(
        f"#!{sys.executable}\n"
        """
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
asked = sys.argv[1:]
with (folder / "asked").open("a") as file:
    file.write(json.dumps(asked) + "\\n")
if asked[:2] == ["image", "inspect"]:
    print(json.dumps([{"Config": json.loads((folder / "image.json").read_text())}]))
elif asked[0] == "run":
    entrypoint = asked.index("--entrypoint")
    command = [asked[entrypoint + 1], *asked[entrypoint + 3 :]]
    os.execvp(command[0], command)
"""
    )
    engine.chmod(0o755)
    (tmp_path / "image.json").write_text(json.dumps(image()))
    command = [sys.executable, "deploy/image_check.py", "--tool", str(engine), "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    build, inspect, start, *probes = [json.loads(line) for line in (tmp_path / "asked").read_text().splitlines()]
    assert build == ["build", "-t", "siglip-check:cpu", "--build-arg", "FLAVOUR=cpu", "."]
    assert inspect == ["image", "inspect", "siglip-check:cpu"]
    assert shlex.join(start).startswith("run --rm --network host --user 10001:10001 --read-only ")
    assert "--cap-drop ALL --security-opt no-new-privileges --entrypoint env siglip-check:cpu" in shlex.join(start)
    assert [shlex.join(probe).endswith("-m app.healthcheck") for probe in probes] == [True, True]


def test_make_hands_over_tool_and_arguments() -> None:
    # Without the remarks that a make inside of make adds, for `make check` runs this.
    arguments = ["IMAGE_TOOL=sudo podman", "BUILD=--build-arg TRACING=true", "FLAVOURS=cpu"]
    done = tool("make", "--no-print-directory", "-n", "image-check", *arguments)
    asked = ["--tool=sudo podman", "--build=--build-arg TRACING=true", "cpu"]
    assert shlex.split(done.stdout.splitlines()[-1])[1:] == ["deploy/image_check.py", *asked]
