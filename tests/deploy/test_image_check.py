"""`make image-check` with fakes: a container tool whose containers are plain processes, and a small server."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import ROOT, tool

# A fake container tool. It records the arguments of `build`. Next to it, image.json is the configuration of the image.
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
    def respond(self, body, status=200):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = lambda self: self.respond({"status": "ready"}, 404 if self.path.startswith(f"/{label}") else 200)
    do_POST = lambda self: self.respond({"scores": [{"label": label}]})
    log_message = lambda *_: None

signal.signal(signal.SIGTERM, lambda *_: os._exit(status))
if label == "nothing":
    sys.exit(7)
http.server.HTTPServer(("127.0.0.1", int(os.environ["SIGLIP_PORT"])), Handler).serve_forever()
"""


def image(label: str = "cat", status: int = 0, **changes: Any) -> dict[str, Any]:
    """Returns an image's configuration. Its server ranks `label` first, and exits with `status`."""
    return {
        "User": "10001:10001",
        "Entrypoint": [sys.executable, "-c"],
        "Cmd": [SERVER, label, str(status)],
        "Healthcheck": {"Test": ["CMD", sys.executable, "-m", "app.healthcheck"]},
    } | changes


def image_check(folder: Path, configuration: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Runs the script as `make image-check` does."""
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


def test_a_correct_image_passes(tmp_path: Path) -> None:
    done = image_check(tmp_path, image())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("passed: ") == 8
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
        (image(label="dog"), "is classified as a cat"),
        (image(label="page"), "the page and its samples are in the image: [200, 404]"),
        (image(status=3), "exits with 0 after SIGTERM: 3"),
        (image(Healthcheck={"Test": ["CMD", "false"]}), "exits with 0 while the service runs: 1"),
        (image(Healthcheck={"Test": ["CMD", "true"]}), "exits with 1 after the service has ended: 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_incorrect_image_fails_with_the_reason(tmp_path: Path, configuration: dict[str, Any], reason: str) -> None:
    done = image_check(tmp_path, configuration)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: cpu: ")
    assert reason in done.stderr


def test_a_container_engine_gets_its_own_arguments(tmp_path: Path) -> None:
    """The fake engine replaces itself by the command, so SIGTERM and the exit status are passed on as by Docker."""
    engine = tmp_path / "docker"
    engine.write_text(
        f"#!{sys.executable}\n"
        """
import json, os, pathlib, sys
folder = pathlib.Path(__file__).parent
arguments = sys.argv[1:]
with (folder / "calls").open("a") as file:
    file.write(json.dumps(arguments) + "\\n")
if arguments[:2] == ["image", "inspect"]:
    print(json.dumps([{"Config": json.loads((folder / "image.json").read_text())}]))
elif arguments[0] == "run":
    entrypoint = arguments.index("--entrypoint")
    command = [arguments[entrypoint + 1], *arguments[entrypoint + 3 :]]
    os.execvp(command[0], command)
"""
    )
    engine.chmod(0o755)
    (tmp_path / "image.json").write_text(json.dumps(image()))
    command = [sys.executable, "deploy/image_check.py", "--tool", str(engine), "cpu"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    build, inspect, start, *probes = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert build == ["build", "-t", "siglip-check:cpu", "--build-arg", "FLAVOUR=cpu", "."]
    assert inspect == ["image", "inspect", "siglip-check:cpu"]
    assert shlex.join(start).startswith("run --rm --network host --user 10001:10001 --read-only ")
    assert "--cap-drop ALL --security-opt no-new-privileges --entrypoint env siglip-check:cpu" in shlex.join(start)
    assert [shlex.join(probe).endswith("-m app.healthcheck") for probe in probes] == [True, True]


def test_make_passes_tool_and_arguments() -> None:
    # `make check` may run this test: --no-print-directory hides the messages of a nested make.
    arguments = ["IMAGE_TOOL=sudo podman", "BUILD=--build-arg TRACING=true", "FLAVOURS=cpu"]
    done = tool("make", "--no-print-directory", "-n", "image-check", *arguments)
    expected = ["--tool=sudo podman", "--build=--build-arg TRACING=true", "cpu"]
    assert shlex.split(done.stdout.splitlines()[-1])[1:] == ["deploy/image_check.py", *expected]
