"""The service on Ray Serve, on a real cluster of two nodes: failures, updates, load, and the real model."""

import asyncio
import collections
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cluster.options import RETRY_AFTER_S, Scale
from app.settings import Settings
from benchmarks.service import running as running_service
from tests.acceptance.ray_cluster import (
    FILES,
    NAME,
    ROOT,
    WAIT_S,
    Answer,
    RayCluster,
    classify_many,
    ray_cluster,
    running,
    serve,
    wait_until,
)
from tests.acceptance.store.redis_server import RedisServer
from tests.ray_fake import MakeEncoder, Replica, replicas

# After the import of Ray.
from app.cluster.serve import application  # isort: skip

# Ray leaves files and sockets open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

MAX_BATCH = 4  # so a replica has at most 8 requests at a time
CAT = (ROOT / "samples/cat.png").read_bytes()
PNG = {"Content-Type": "image/png"}
RAYS_OWN = (500, "text/plain; charset=utf-8", "Internal Server Error")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as started:
        yield started


@pytest.fixture(scope="module")
def folder(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two replicas with fake encoders have written who they are. They stay until the update."""
    made = tmp_path_factory.mktemp("first")
    (made / "sets").mkdir()
    (made / "sets/pets.txt").write_text("cat\ndog\n")
    deploy(MakeEncoder(made), canary_s=1, label_sets_dir=made / "sets")
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


def deploy(make_encoder: MakeEncoder, *, replicas: int = 2, **given: Any) -> None:
    """Deploys the service with fake encoders, as an update of the one that is there, and waits for its replicas."""
    options = given.pop("options", {})
    settings = Settings(**{"max_batch": MAX_BATCH, "image_cache_bytes": 0} | given)
    serve.run(application(settings, Scale(min_replicas=replicas), make_encoder, **options), name=NAME)
    wait_until(lambda: running() == replicas, f"{replicas} replicas")


def kinds(answers: list[Answer]) -> collections.Counter[tuple[int, str, str]]:
    """Counts wrong answers by status, type and text."""
    wrong = [answer.response for answer in answers if not answer.right]
    return collections.Counter((each.status_code, each.headers["Content-Type"], each.text[:200]) for each in wrong)


def newest(folder: Path, node: str) -> Replica:
    """Returns the newest replica of a node."""
    return [replica for replica in replicas(folder) if replica.node == node][-1]


def test_serve_run_serves_the_real_model_with_the_scores_of_our_own_server(cluster: RayCluster) -> None:
    cluster.serve_run(SIGLIP_ENGINE="tensorflow", SIGLIP_MAX_LABELS="77")
    question: dict[str, Any] = {"content": CAT, "headers": PNG, "params": {"labels": ["cat", "dog", "a car"]}}
    with httpx.Client(base_url=cluster.url, timeout=WAIT_S) as client:
        on_ray = client.post("/classify", **question)
        facts = client.get("/info").json()
    with running_service(ENGINE="tensorflow") as (_, address):
        on_our_own = httpx.post(f"{address}/classify", timeout=WAIT_S, **question)
    assert on_ray.json() == on_our_own.json()  # to the last bit
    assert on_ray.json()["scores"][0]["label"] == "cat"
    assert (facts["demonstration"], facts["limits"]["max_labels"]) == (True, 77)


def test_without_a_shared_store_label_sets_are_those_of_the_folder(cluster: RayCluster, folder: Path) -> None:
    with httpx.Client(base_url=cluster.url, timeout=WAIT_S) as client:
        for _ in range(20):  # on both replicas
            classified = client.post("/classify", content=CAT, headers=PNG, params={"label_set": "pets"})
            assert classified.status_code == 200, classified.text
        refused = [
            client.put("/label-sets/pets", json={"labels": ["a"]}, headers={"X-Request-Id": "mine-1"}),
            client.patch("/label-sets/pets", json={"threshold": 0.5}),
            client.post("/label-sets/pets/labels/0/examples", json={"examples": [{"digest": "0" * 64}]}),
            client.delete("/label-sets/pets"),
        ]
    for response in refused:
        problem = response.json()
        assert (response.status_code, problem["error_type"]) == (409, "label_sets_read_only"), response.text
        assert "SIGLIP_STORE" in problem["detail"]
        # Serve adds the request's id, so the service does not.
        assert response.headers.get_list("X-Request-Id") == [problem["request_id"]]
    assert refused[0].json()["request_id"] == "mine-1"


def test_a_killed_replica_costs_only_the_requests_that_it_had(cluster: RayCluster, folder: Path) -> None:
    victim = newest(folder, cluster.node.node_id)
    answers = classify_many(cluster.url, 800, during=(200, lambda: os.kill(victim.pid, signal.SIGKILL)))
    wrong = kinds(answers)
    assert set(wrong) <= {RAYS_OWN}, wrong  # Ray's own answer, and not a problem
    assert 0 < wrong.total() <= 2 * MAX_BATCH
    wait_until(lambda: running() == 2 and len(replicas(folder)) == 3, "two replicas")
    assert kinds(classify_many(cluster.url, 50)) == {}


def test_a_replica_whose_device_fails_is_replaced(cluster: RayCluster, folder: Path) -> None:
    broken, before = newest(folder, cluster.node.node_id), len(replicas(folder))
    (folder / f"broken-{broken.pid}").touch()
    wait_until(lambda: len(replicas(folder)) == before + 1 and running() == 2, "another replica")
    assert newest(folder, cluster.node.node_id) != broken
    assert kinds(classify_many(cluster.url, 50)) == {}


def test_a_killed_node_costs_only_the_requests_that_it_had(cluster: RayCluster, folder: Path) -> None:
    answers = classify_many(cluster.url, 800, during=(200, cluster.kill_node))
    wrong = kinds(answers)
    assert set(wrong) <= {RAYS_OWN}, wrong
    assert wrong.total() <= 2 * MAX_BATCH
    cluster.add_node()
    wait_until(lambda: running() == 2, "two replicas")
    assert kinds(classify_many(cluster.url, 50)) == {}


def test_an_update_during_three_thousand_requests_loses_none(
    cluster: RayCluster, folder: Path, store: RedisServer, tmp_path: Path
) -> None:
    updated = threading.Event()

    def update() -> None:
        deploy(MakeEncoder(tmp_path), max_labels=77, store=store.url)
        updated.set()

    answers = classify_many(cluster.url, 3000, during=(200, update), until=updated.is_set)
    assert kinds(answers) == {}
    assert len(answers) >= 3000
    assert len(replicas(tmp_path)) == 2
    assert httpx.get(f"{cluster.url}/info").json()["limits"]["max_labels"] == 77


def test_with_a_shared_store_a_change_reaches_every_replica(cluster: RayCluster) -> None:
    with httpx.Client(base_url=cluster.url, timeout=WAIT_S) as client:
        assert client.put("/label-sets/birds", json={"labels": ["owl"]}).status_code == 201

        def everywhere() -> bool:
            return all(client.get("/label-sets/birds").status_code == 200 for _ in range(20))

        wait_until(everywhere, "on both replicas")


def test_an_update_whose_model_cannot_be_loaded_fails_and_the_old_replicas_go_on(
    cluster: RayCluster, tmp_path: Path
) -> None:
    failed = threading.Event()

    def update() -> None:
        with pytest.raises(RuntimeError, match="Failed to update the deployments"):
            deploy(MakeEncoder(tmp_path, loads=False), max_labels=88, options={"max_constructor_retry_count": 1})
        failed.set()

    answers = classify_many(cluster.url, 100, during=(50, update), until=failed.is_set)
    assert kinds(answers) == {}
    assert running() > 0
    assert httpx.get(f"{cluster.url}/info").json()["limits"]["max_labels"] == 77


@pytest.fixture(scope="module")
def _scaled(cluster: RayCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One replica, or two under load. It computes one image at a time, and slowly."""
    automatic = {
        "min_replicas": 1,
        "max_replicas": 2,
        "target_ongoing_requests": 2,
        "look_back_period_s": 10.5,
        "upscale_delay_s": 1,
        "downscale_delay_s": 1,
    }
    deploy(
        MakeEncoder(tmp_path_factory.mktemp("scaled"), batch_s=0.2),
        replicas=1,
        max_batch=1,
        max_queue_items=4,
        options={"num_replicas": None, "autoscaling_config": automatic},
    )


@pytest.mark.usefixtures("_scaled")
def test_overload_is_429_by_serve_and_by_the_service(cluster: RayCluster) -> None:
    async def send() -> list[httpx.Response]:
        files = [("images", ("image.png", file, "image/png")) for file in list(FILES.values())[:3]]
        async with httpx.AsyncClient(base_url=cluster.url, timeout=WAIT_S) as client:
            request = {"url": "/classify/batch", "files": files, "data": {"labels": ["cat", "dog"]}}
            return await asyncio.gather(*(client.post(**request) for _ in range(30)))

    answers = asyncio.run(send())
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = [answer for answer in answers if answer.status_code == 429]
    by_type = {answer.headers["Content-Type"].split(";")[0]: answer for answer in refused}
    # Two requests are in the service at a time; both together have more images than its queue takes.
    assert by_type["application/problem+json"].json()["error_type"] == "overloaded"
    assert by_type["text/plain"].headers["Retry-After"] == f"{RETRY_AFTER_S:.0f}"


@pytest.mark.usefixtures("_scaled")
def test_replicas_are_added_under_load_and_removed_after_it(cluster: RayCluster) -> None:
    answers = classify_many(cluster.url, 50, clients=4, until=lambda: running() == 2)
    assert running() == 2
    assert kinds(answers) == {}
    wait_until(lambda: running() == 1, "one replica")
    assert kinds(classify_many(cluster.url, 20, clients=2)) == {}
