"""A real Ray cluster of two nodes on this machine, and many requests to what it serves."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_agent_register_timeout_ms": "120000",  # a busy machine starts slowly
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, while it is imported
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

ROOT = Path(__file__).parents[2]
RUNTIME = {"env_vars": {"PYTHONPATH": str(ROOT)}}  # replicas do not have the path of the program that deploys them
NAME = "siglip"
WAIT_S = 120.0
STARTS = 4  # attempts to start a node
LABELS = ["cat", "dog"]
COLOURS = [(red, 90, 200) for red in range(0, 250, 25)]
PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")


class RayCluster:
    """A head and one more node, with one CPU each. Replicas need one CPU, so each node has one of them."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._start_node(no_monitor=True)
        self.node = self._start_node()
        (self.port,) = free_ports(1)
        ray.init(
            address=self._cluster.address,
            runtime_env=RUNTIME,
            log_to_driver=False,
            logging_level="ERROR",
        )
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": self.port})

    @property
    def url(self) -> str:
        """The address of Serve's proxy on the head."""
        return f"http://127.0.0.1:{self.port}"

    def serve_run(self, **settings: str) -> None:
        """Runs the command of docs/ray.md, with these settings in its environment."""
        command = [str(Path(sys.executable).with_name("serve")), "run", "app.cluster.serve:app", "min_replicas=1"]
        flags = ["--name", NAME, "--address", self._cluster.address, "--non-blocking"]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("SIGLIP_")}
        subprocess.run(
            [*command, *flags, "--runtime-env-json", json.dumps(RUNTIME)],
            env=variables | settings,
            cwd=ROOT,
            check=True,
            timeout=WAIT_S,
        )
        wait_until(lambda: running() == 1, "one replica")

    def add_node(self) -> None:
        """Adds a node instead of the killed one."""
        self.node = self._start_node()

    def _start_node(self, **arguments: Any) -> Any:
        """Starts a node. Ray gives a node's agents 15 s to start, which may be too little on a busy machine."""
        for _ in range(STARTS - 1):
            with contextlib.suppress(Exception):  # Ray's own has no other class
                return self._cluster.add_node(**node_arguments(), **arguments)
        return self._cluster.add_node(**node_arguments(), **arguments)

    def kill_node(self) -> None:
        """Kills all processes of the second node, as a power failure does."""
        own = [each.process.pid for processes in self.node.all_processes.values() for each in processes]
        for pid in own + [child for parent in own for child in descendants(parent)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._cluster.remove_node(self.node, allow_graceful=False)

    def shutdown(self) -> None:
        """Ends everything."""
        serve.shutdown()
        ray.shutdown()
        self._cluster.shutdown()


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Runs a cluster."""
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")  # Ray leaves files and sockets open
        cluster = RayCluster()
        stack.callback(cluster.shutdown)
        yield cluster


def node_arguments() -> dict[str, Any]:
    """Returns the arguments of a small node, with as few processes as possible."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    return {
        "num_cpus": 1,
        "object_store_memory": 80_000_000,
        "include_dashboard": False,
        "include_log_monitor": False,
        **ports,
    }


def free_ports(count: int) -> list[int]:
    """Returns different ports that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def descendants(pid: int) -> list[int]:
    """Returns the ids of the processes that a process has started, and so on."""
    try:
        children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return children + [found for child in children for found in descendants(child)]


def running() -> int:
    """Returns how many replicas serve."""
    return serve.status().applications[NAME].deployments[NAME].replica_states.get("RUNNING", 0)


def wait_until(done: Callable[[], object], what: str) -> None:
    """Waits until a function returns something true."""
    limit_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < limit_s, f"after {WAIT_S:g} s: not {what}"
        time.sleep(0.2)


class Answer(NamedTuple):
    """A response and the colour of its image."""

    colour: tuple[int, int, int]
    response: httpx.Response

    @property
    def right(self) -> bool:
        """Whether these are the scores that the fake encoder gives for this image."""
        if self.response.status_code != 200:
            return False
        scores = {score["label"]: score["logit"] for score in self.response.json()["scores"]}
        return all(abs(scores[label] - EXPECTED[self.colour, label]) < 1e-4 for label in LABELS)


IMAGES = {colour: plain_image(colour) for colour in COLOURS}
FILES = {colour: encoded(image) for colour, image in IMAGES.items()}
EXPECTED = {
    (colour, label): FakeEncoder().logit(image, f"This is a photo of {label}.")
    for colour, image in IMAGES.items()
    for label in LABELS
}


def classify_many(
    url: str,
    at_least: int,
    *,
    clients: int = 16,
    during: tuple[int, Callable[[], None]] | None = None,
    until: Callable[[], bool] = lambda: True,
    at_most: int = 20_000,
) -> list[Answer]:
    """Sends many requests, each once, and returns the answers.

    Args:
        url: The service.
        at_least: Fewest requests.
        clients: The requests at a time.
        during: After so many answers, a function is called, in a thread.
        until: Requests are sent until this is true too.
        at_most: Most requests.
    """
    answers: list[Answer] = []

    async def run() -> None:
        limits = httpx.Limits(max_connections=clients)
        sent = 0
        async with httpx.AsyncClient(base_url=url, timeout=WAIT_S, limits=limits) as client:

            async def send() -> None:
                nonlocal sent
                while sent < at_least or (not until() and sent < at_most):
                    colour = COLOURS[sent % len(COLOURS)]
                    sent += 1
                    response = await client.post(
                        "/classify",
                        content=FILES[colour],
                        headers={"Content-Type": "image/png"},
                        params={"labels": LABELS},
                    )
                    answers.append(Answer(colour, response))
                    if during and len(answers) == during[0]:
                        background.append(asyncio.create_task(asyncio.to_thread(during[1])))

            background: list[asyncio.Task[None]] = []
            await asyncio.gather(*(send() for _ in range(clients)))
            await asyncio.gather(*background)

    asyncio.run(run())
    return answers
