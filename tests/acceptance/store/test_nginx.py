"""Two replicas behind the nginx of docker-compose.yml: one service for its clients."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.store.redis_server import RedisServer
from tests.acceptance.store.test_store_guide import free_ports
from tests.app.conftest import Process
from tests.app.image_files import encoded, plain_image

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "nginx" / "nginx.conf"
FORM = {"files": {"image": encoded(plain_image())}, "data": {"label_set": "pets"}}


@pytest.fixture
def replicas(spawn, server: RedisServer) -> list[Process]:
    started = [spawn(store=server.url, drain_s=2, wait=False) for _ in range(2)]
    for process in started:
        process.wait_until_ready()
    return started


@pytest.fixture
def service(replicas: list[Process], tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of the nginx, with the shipped configuration and other addresses."""
    (port,) = free_ports(1)
    text = CONFIGURATION.read_text().replace("listen 8080", f"listen 127.0.0.1:{port}")
    text = re.sub("/tmp(?=/)", str(tmp_path), text)  # noqa: S108 (its own folder)
    for number, process in enumerate(replicas, 1):
        text = text.replace(f"replica-{number}:8000", process.client.base_url.netloc.decode())
    (tmp_path / "nginx.conf").write_text(text)
    user = "user root; " if os.geteuid() == 0 else ""  # it would change to another one, who cannot write here
    nginx = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf"), "-g", f"{user}daemon off;"])
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        while True:
            try:
                if client.get("/health/ready").status_code == 200:
                    break
            except httpx.ConnectError:
                assert nginx.poll() is None
                time.sleep(0.01)
        yield client
    nginx.terminate()
    nginx.wait()


def test_clients_see_one_service_also_while_a_replica_is_stopped(service: httpx.Client, replicas: list[Process]):
    assert service.put("/label-sets/pets", json={"labels": ["cat", "dog"]}).status_code == 201
    time.sleep(1)  # the promise: every replica has it within a second
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: service.post("/classify", **FORM), range(200)))
        assert {response.status_code for response in responses} == {200}
        assert len({response.text for response in responses}) == 1
        handled = [process.client.get("/metrics").text.count('route="/classify"') for process in replicas]
        assert all(handled)
        answers = pool.map(lambda _: service.post("/classify", **FORM).status_code, range(400))
        replicas[0].popen.terminate()
        assert set(answers) == {200}
    assert replicas[0].exit_status() == 0
    assert service.put("/label-sets/pets", json={"labels": ["bird"]}).status_code == 200


def test_large_uploads_and_refusals_pass_through(service: httpx.Client):
    large = service.post("/classify", content=bytes(20_000_001), headers={"Content-Type": "image/png"})
    assert (large.status_code, large.json()["error_type"]) == (413, "body_too_large")
    assert service.get("/label-sets/none").json()["error_type"] == "label_set_not_found"
