"""A replica without Ray: its service runs behind uvicorn's lifespan and httpx's ASGI transport, as behind Serve's."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn

from app.cluster.replica import Replica
from app.errors import NotReady
from app.settings import Settings
from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder

pytestmark = pytest.mark.anyio

PNG = {"content": encoded(plain_image()), "headers": {"Content-Type": "image/png"}, "params": {"labels": "cat"}}

EMBEDDING = {"digest": "0" * 64}


@pytest.fixture(autouse=True)
def _log_as_before() -> Any:
    """A replica sends the log of its process to stderr; afterwards, pytest has it again."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def replica(make_encoder: Callable[[], FakeEncoder] = FakeEncoder, **settings: Any) -> Replica:
    return Replica(Settings(**settings), make_encoder)


@asynccontextmanager
async def started(made: Replica) -> AsyncIterator[httpx.AsyncClient]:
    """Starts a replica's service as Serve does, and stops it."""
    service = getattr(made, "__serve_build_asgi_app__")()  # noqa: B009 (inside a class, the name would be mangled)
    lifespan = LifespanOn(Config(service, lifespan="on", log_config=None))
    await lifespan.startup()
    if lifespan.should_exit:
        raise RuntimeError("the start has failed")
    try:
        transport = httpx.ASGITransport(service)
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            yield client
    finally:
        await lifespan.shutdown()


async def test_a_started_replica_is_ready_and_healthy() -> None:
    made = replica()
    async with started(made) as client:
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.post("/classify", **PNG)).status_code == 200
        await made.check_health()


async def test_the_start_fails_if_the_model_cannot_be_loaded() -> None:
    def fail() -> None:
        raise RuntimeError("no such weights")

    with pytest.raises(RuntimeError, match="the start has failed"):
        async with started(replica(lambda: FakeEncoder(before_warm_up=fail))):
            pass


async def test_a_replica_whose_device_fails_is_not_healthy() -> None:
    broken: list[bool] = []

    def before_batch() -> None:
        if broken:
            raise RuntimeError("a broken device")

    made = replica(lambda: FakeEncoder(before_batch=before_batch))
    async with started(made) as client:
        broken.append(True)
        assert (await client.post("/classify", **PNG)).status_code == 500
        with pytest.raises(NotReady, match="a forward pass on the device has failed"):
            await check_until_it_fails(made)


async def check_until_it_fails(made: Replica) -> None:
    """Waits until the canary has failed too."""
    while True:
        await made.check_health()
        await asyncio.sleep(0.01)


async def test_serve_adds_the_request_id_so_the_service_does_not() -> None:
    async with started(replica()) as client:
        response = await client.get("/label-sets/none", headers={"X-Request-Id": "mine"})
        assert "X-Request-Id" not in response.headers
        assert response.json()["request_id"] == "mine"


async def test_without_a_shared_store_only_the_folder_has_label_sets_and_changes_are_409(tmp_path: Any) -> None:
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/pets.txt").write_text("cat\ndog\n")
    async with started(replica(label_sets_dir=tmp_path / "sets", data_dir=tmp_path / "data")) as client:
        assert [each["name"] for each in (await client.get("/label-sets")).json()["label_sets"]] == ["pets"]
        for response in (
            await client.put("/label-sets/new", json={"labels": ["a"]}),
            await client.patch("/label-sets/pets", json={"threshold": 0.5}),
            await client.post("/label-sets/pets/labels/0/examples", json={"examples": [EMBEDDING]}),
            await client.delete("/label-sets/pets"),
        ):
            problem = response.json()
            assert (response.status_code, problem["error_type"]) == (409, "label_sets_read_only"), problem
            assert "Set SIGLIP_STORE" in problem["detail"]
    assert not (tmp_path / "data").exists()


def test_a_replica_whose_device_thread_ends_ends_its_process() -> None:
    script = """
import asyncio, sys
from tests.app.cluster.test_replica import PNG, replica, started
from tests.fakes import FakeEncoder

def end():
    if made:
        sys.exit()

made = []

async def main():
    service = replica(lambda: FakeEncoder(before_batch=end))
    async with started(service) as client:
        made.append(True)
        await client.post("/classify", **PNG)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line)["message"] for line in done.stderr.splitlines() if line.startswith("{")]
    assert "the device thread has ended, so this replica ends" in lines
