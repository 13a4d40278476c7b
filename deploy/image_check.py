"""Builds the image and tries it as a container engine would: `make image-check`.

For each flavour: build; read user, entrypoint and health check from the image's own configuration; start the
entrypoint as that user on the embedded checkpoint; wait for ready; classify an image over HTTP; run the health
check beside it; send SIGTERM and expect 0; run the health check again and expect 1. Ends with 0 if all of it held.

IMAGE_TOOL is `docker` or what takes its arguments (`podman`), on Linux: the host's network is used. Or any command
that knows `build TAG [ARGS]`, `inspect TAG` and `run TAG --user USER -- COMMAND`, and hands on the exit status.
"""

import argparse
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
START_S, STOP_S = 300, 60
ENGINES = {"docker", "podman", "nerdctl"}
# What docker-compose.yml and the Kubernetes manifests demand, too.
HARDENED = shlex.split(
    "--read-only --tmpfs /tmp --tmpfs /data:mode=1777 --cap-drop ALL --security-opt no-new-privileges"
)
GPU_BUILD_BYTES = 20_000_000_000  # the image has 6.5 GB, and a build may hold it three times


class CheckError(Exception):
    """The image does not do what it should; the message says what."""


class Tool:
    """Builds, describes and runs images by somebody else's command."""

    def __init__(self, command: str) -> None:
        self.command = shlex.split(command)
        self.engine = Path(self.command[0]).name in ENGINES

    def build(self, tag: str, arguments: list[str]) -> None:
        """Builds this repository's Dockerfile."""
        place = ["build", "-t", tag, *arguments, "."] if self.engine else ["build", tag, *arguments]
        subprocess.run([*self.command, *place], cwd=ROOT, check=True)

    def configuration(self, tag: str) -> dict[str, Any]:
        """Returns the image's configuration: User, Entrypoint, Cmd, Healthcheck and others."""
        arguments = ["image", "inspect", tag] if self.engine else ["inspect", tag]
        done = subprocess.run([*self.command, *arguments], capture_output=True, check=True)
        answer = json.loads(done.stdout)
        # Docker answers a list; buildah nests what Docker would say.
        found: dict[str, Any] = answer[0]["Config"] if isinstance(answer, list) else answer["Docker"]["config"]
        return found

    def run(self, tag: str, user: str, command: list[str]) -> list[str]:
        """Returns the command line that runs a command in a new container and ends with its status."""
        if self.engine:
            place = ["run", "--rm", "--network", "host", "--user", user, *HARDENED, "--entrypoint", command[0], tag]
            return [*self.command, *place, *command[1:]]
        return [*self.command, "run", tag, "--user", user, "--", *command]


def check(tool: Tool, tag: str) -> None:
    """Tries one image.

    Raises:
        CheckError: It does not do what it should.
    """
    configuration = tool.configuration(tag)
    user, probe = configuration["User"], configuration["Healthcheck"]["Test"]
    command = [*configuration["Entrypoint"], *configuration["Cmd"]]
    expect(user.split(":")[0].isdigit() and user.split(":")[0] != "0", f"USER is a number and not root: {user}")
    expect(probe[0] == "CMD" and "/bin/sh" not in command, f"no shell before {shlex.join(command)}")
    port = free_port()
    environment = ["env", f"SIGLIP_PORT={port}", "SIGLIP_DRAIN_S=1"]
    health = tool.run(tag, user, [*environment, *probe[1:]])
    with started(tool.run(tag, user, [*environment, *command])) as container:
        wait_until_ready(container, port)
        expect(True, "the entrypoint serves as that user, and is ready")
        found = [request(port, "GET", path)[0] for path in ("/", "/page/samples/cat.png")]
        expect(found == [200, 200], f"the page and its samples are inside: {found}")
        status, answer = request(port, "POST", "/classify?labels=cat&labels=dog&labels=car", ROOT / "samples/cat.png")
        expect(status == 200 and first_label(answer) == "cat", f"samples/cat.png is a cat: {answer!r}")
        healthy = subprocess.run(health, check=False).returncode
        expect(healthy == 0, f"HEALTHCHECK {shlex.join(probe[1:])} ends with 0 beside it: {healthy}")
        os.kill(innermost(container.pid), signal.SIGTERM)
        status = container.wait(STOP_S)
        expect(status == 0, f"SIGTERM ends it with 0: {status}")
    unhealthy = subprocess.run(health, check=False).returncode
    expect(unhealthy == 1, f"HEALTHCHECK ends with 1 once it is gone: {unhealthy}")


def expect(held: bool, what: str) -> None:
    """Prints what was seen, or raises it as the error."""
    if not held:
        raise CheckError(what)
    print(f"seen: {what}", flush=True)


def free_port() -> int:
    """Returns a TCP port that nobody listened on a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a container, and leaves none behind."""
    container = subprocess.Popen(command)
    try:
        yield container
    finally:
        while container.poll() is None:
            # The tool dies with what it runs; killed itself, it would leave that running.
            with suppress(ProcessLookupError):
                os.kill(innermost(container.pid), signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                container.wait(1)


def innermost(pid: int) -> int:
    """Returns the last of a chain of processes: the server behind a tool that is its parent, or an engine's client."""
    # Of every thread: a tool written in Go starts its children from any.
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            return innermost(int(child))
    return pid


def wait_until_ready(container: subprocess.Popen[bytes], port: int) -> None:
    """Returns once the service is ready.

    Raises:
        CheckError: It has ended, or is not ready in time.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if container.poll() is not None:
            raise CheckError(f"the container has ended with {container.returncode} before it was ready")
        with suppress(OSError):
            if request(port, "GET", "/health/ready")[0] == http.client.OK:
                return
        time.sleep(0.5)
    raise CheckError(f"not ready after {START_S} s")


def request(port: int, method: str, path: str, image: Path | None = None) -> tuple[int, bytes]:
    """Returns status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, image.read_bytes() if image else None, {"Content-Type": "image/png"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def first_label(answer: bytes) -> Any:
    """Returns the label that fits best."""
    return json.loads(answer)["scores"][0]["label"]


def main() -> int:
    """Returns 0 if every flavour that there is room for was built and held, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default="docker", help="IMAGE_TOOL (default: docker)")
    parser.add_argument("--build", default="", metavar="ARGS", help="more arguments for the build")
    parser.add_argument("flavours", nargs="+", choices=["cpu", "gpu"])
    options = parser.parse_args()
    tool = Tool(options.tool)
    for flavour in options.flavours:
        free = shutil.disk_usage(ROOT).free
        if flavour == "gpu" and free < GPU_BUILD_BYTES:
            print(f"not tried: {flavour}, since it may fill {GPU_BUILD_BYTES:,} bytes of disk, and {free:,} are free")
            continue
        tag = f"siglip-check:{flavour}"
        try:
            tool.build(tag, ["--build-arg", f"FLAVOUR={flavour}", *shlex.split(options.build)])
            check(tool, tag)
        except (CheckError, OSError, subprocess.SubprocessError) as error:
            print(f"FAILED: {flavour}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
