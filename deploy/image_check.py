"""Builds the image and checks it as a container engine would run it: `make image-check`.

For each flavour: build the image; read user, entrypoint and health check from its configuration; start the entrypoint
as that user with the embedded checkpoint; wait until it is ready; classify an image over HTTP; run the health check and
expect 0; send SIGTERM and expect 0; run the health check again and expect 1. Exits with 0 if every check passed.

IMAGE_TOOL is `docker` or a command with the same arguments (`podman`), on Linux, because the host's network is used. It
may also be any command that has `build TAG [ARGS]`, `inspect TAG` and `run TAG --user USER -- COMMAND`, and that exits
with the status of the command it runs.
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
# The same restrictions as in docker-compose.yml and the Helm chart.
HARDENED = shlex.split(
    "--read-only --tmpfs /tmp --tmpfs /data:mode=1777 --cap-drop ALL --security-opt no-new-privileges"
)
GPU_BUILD_BYTES = 20_000_000_000  # the image has 6.5 GB, and a build may store it three times


class CheckError(Exception):
    """A check of the image failed. The message says which."""


class Tool:
    """Builds, describes and runs images with IMAGE_TOOL."""

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
        # Docker prints a list; buildah nests Docker's configuration.
        found: dict[str, Any] = answer[0]["Config"] if isinstance(answer, list) else answer["Docker"]["config"]
        return found

    def run(self, tag: str, user: str, command: list[str]) -> list[str]:
        """Returns the command line that runs a command in a new container and exits with its status."""
        if self.engine:
            place = ["run", "--rm", "--network", "host", "--user", user, *HARDENED, "--entrypoint", command[0], tag]
            return [*self.command, *place, *command[1:]]
        return [*self.command, "run", tag, "--user", user, "--", *command]


def check(tool: Tool, tag: str) -> None:
    """Checks one image.

    Raises:
        CheckError: A check failed.
    """
    configuration = tool.configuration(tag)
    user, probe = configuration["User"], configuration["Healthcheck"]["Test"]
    command = [*configuration["Entrypoint"], *configuration["Cmd"]]
    expect(user.split(":")[0].isdigit() and user.split(":")[0] != "0", f"USER is a number and not root: {user}")
    expect(probe[0] == "CMD" and "/bin/sh" not in command, f"no shell runs {shlex.join(command)} or the health check")
    port = free_port()
    environment = ["env", f"SIGLIP_PORT={port}", "SIGLIP_DRAIN_S=1"]
    health = tool.run(tag, user, [*environment, *probe[1:]])
    with started(tool.run(tag, user, [*environment, *command]), command) as container:
        wait_until_ready(container, port)
        expect(True, "the entrypoint runs as that user and becomes ready")
        found = [request(port, "GET", path)[0] for path in ("/", "/page/samples/cat.png")]
        expect(found == [200, 200], f"the page and its samples are in the image: {found}")
        status, body = request(port, "POST", "/classify?labels=cat&labels=dog&labels=car", ROOT / "samples/cat.png")
        expect(status == 200 and first_label(body) == "cat", f"samples/cat.png is classified as a cat: {body!r}")
        healthy = subprocess.run(health, check=False).returncode
        expect(healthy == 0, f"HEALTHCHECK {shlex.join(probe[1:])} exits with 0 while the service runs: {healthy}")
        os.kill(find_server(container.pid, command), signal.SIGTERM)
        status = container.wait(STOP_S)
        expect(status == 0, f"the service exits with 0 after SIGTERM: {status}")
    unhealthy = subprocess.run(health, check=False).returncode
    expect(unhealthy == 1, f"HEALTHCHECK exits with 1 after the service has ended: {unhealthy}")


def expect(passed: bool, what: str) -> None:
    """Prints that a check passed, or raises a CheckError."""
    if not passed:
        raise CheckError(f"expected: {what}")
    print(f"passed: {what}", flush=True)


def free_port() -> int:
    """Returns a free TCP port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextmanager
def started(run: list[str], command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a container, and kills it after the block if it still runs. `command` is the server's."""
    container = subprocess.Popen(run)
    try:
        yield container
    finally:
        while container.poll() is None:
            # The tool ends with the server. Killing the tool instead would leave the server running.
            with suppress(ProcessLookupError):
                os.kill(find_server(container.pid, command), signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                container.wait(1)


def find_server(pid: int, command: list[str]) -> int:
    """Returns the server, which may be far below the tool, or the tool itself, such as an engine's client.

    The server is the last process with this command: it starts others, the decode workers, with another one.
    """
    words = "\0".join(command).encode()
    # Every thread has its own list of children, and a tool written in Go starts them from any thread.
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text(encoding="ascii").split()):
            server = find_server(child, command)
            if server != child or words in Path(f"/proc/{child}/cmdline").read_bytes():
                return server
    return pid


def wait_until_ready(container: subprocess.Popen[bytes], port: int) -> None:
    """Waits until the service is ready.

    Raises:
        CheckError: The container ended, or is not ready in time.
    """
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if container.poll() is not None:
            raise CheckError(f"the container ended with {container.returncode} before it was ready")
        with suppress(OSError):
            if request(port, "GET", "/health/ready")[0] == http.client.OK:
                return
        time.sleep(0.5)
    raise CheckError(f"not ready after {START_S} s")


def request(port: int, method: str, path: str, image: Path | None = None) -> tuple[int, bytes]:
    """Sends a request and returns the response's status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, image.read_bytes() if image else None, {"Content-Type": "image/png"})
    response = connection.getresponse()
    return response.status, response.read()


def first_label(body: bytes) -> Any:
    """Returns the label with the highest score."""
    return json.loads(body)["scores"][0]["label"]


def main() -> int:
    """Returns 0 if every flavour passed or was skipped for lack of disk space, else 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default="docker", help="IMAGE_TOOL (default: docker)")
    parser.add_argument("--build", default="", metavar="ARGS", help="more arguments for the build")
    parser.add_argument("flavours", nargs="+", choices=["cpu", "gpu"])
    options = parser.parse_args()
    tool = Tool(options.tool)
    for flavour in options.flavours:
        free = shutil.disk_usage(ROOT).free
        if flavour == "gpu" and free < GPU_BUILD_BYTES:
            print(f"skipped: {flavour} may need {GPU_BUILD_BYTES:,} bytes of disk, but only {free:,} are free")
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
