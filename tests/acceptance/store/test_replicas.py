"""Two real services and a real Redis: what clients see while the Redis is killed, emptied, restored or slow."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import redis

from app.label_sets.redis_scripts import KEYS
from tests.acceptance.store.redis_server import ESCAPED, PASSWORD, RedisServer
from tests.app.conftest import Process
from tests.app.image_files import encoded, plain_image

PETS, GOODS = {"labels": ["cat", "dog"]}, {"labels": ["car", "boat"]}
IMAGE = base64.b64encode(encoded(plain_image())).decode()
LEARNT = {"labels": [{"label": "cat", "threshold": 0.4, "examples": [IMAGE]}, "dog"]}
VISIBLE_S = 1.0  # a change is seen by every replica within this time
ROUNDS = 1_000

Start = Callable[..., Process]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, list[Process]]]:
    """A Redis and two replicas, which take seconds to start."""
    folder = tmp_path_factory.mktemp("redis")
    server = RedisServer(folder)
    server.start()
    settings = {"data_dir": folder / "data", "drain_s": 0, "store": server.url}
    started = [Process("works", settings, {}) for _ in range(2)]
    for process in started:
        process.wait_until_ready()
    yield server, started
    for process in started:
        process.kill()
    server.kill()


@pytest.fixture
def server(shared: tuple[RedisServer, list[Process]]) -> Iterator[RedisServer]:
    """The Redis, with an empty store at the beginning of a test."""
    server, processes = shared
    yield server
    client = processes[0].client
    for name in names(client):
        assert client.delete(f"/label-sets/{name}").status_code == 204
    until(lambda: not any(names(process.client) for process in processes))


@pytest.fixture
def replicas(shared: tuple[RedisServer, list[Process]], server: RedisServer) -> list[httpx.Client]:
    """The clients of the two replicas."""
    return [process.client for process in shared[1]]


@pytest.fixture
def start(spawn, server: RedisServer) -> Start:
    """Starts another replica."""

    def started(behaviour: str = "works", **settings: object) -> Process:
        return spawn(behaviour, store=server.url, **settings)

    return started


def put(client: httpx.Client, body: dict = PETS, name: str = "pets", **headers: str) -> httpx.Response:
    return client.put(f"/label-sets/{name}", json=body, headers=headers)


def labels(client: httpx.Client, name: str = "pets") -> list | None:
    """Returns the labels of a set, or None if there is no such set."""
    response = client.get(f"/label-sets/{name}")
    return response.json()["labels"] if response.status_code == 200 else None


def names(client: httpx.Client) -> list[str]:
    return [found["name"] for found in client.get("/label-sets").json()["label_sets"]]


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])


def until(condition: Callable[[], bool]) -> None:
    """Waits until a condition holds; fails after a minute."""
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_change_is_seen_at_once_by_its_replica_and_within_a_second_by_the_other(replicas):
    for number in range(20):
        writer, reader = replicas if number % 2 else reversed(replicas)
        body = {"labels": [f"label {number}"]}
        assert put(writer, body).status_code == (200 if number else 201)
        stored_s = time.monotonic()
        assert labels(writer) == body["labels"]
        until(lambda: labels(reader) == body["labels"])  # noqa: B023 (called at once)
        assert time.monotonic() - stored_s < VISIBLE_S
    assert writer.delete("/label-sets/pets").status_code == 204
    assert names(writer) == []
    until(lambda: names(reader) == [])


def test_a_missed_message_is_made_up_for_within_a_second(replicas, server):
    one, other = replicas
    put(one)
    until(lambda: labels(other) == PETS["labels"])
    with redis.Redis(port=server.port) as client:
        for connection in client.client_list("pubsub"):
            client.client_kill(connection["addr"])
        put(one, GOODS)
    stored_s = time.monotonic()
    until(lambda: labels(other) == GOODS["labels"])
    assert time.monotonic() - stored_s < VISIBLE_S


def test_a_change_without_any_message_is_seen_within_a_second(replicas, server):
    """Each replica also checks the store's revision."""
    put(replicas[0])
    until(lambda: labels(replicas[1]) == PETS["labels"])
    store, sets, definitions, _ = KEYS
    with redis.Redis(port=server.port) as client, client.pipeline() as change:
        revision = int(client.hget(store, "revision")) + 1
        change.hset(sets, "pets", revision)
        change.hset(definitions, "pets", json.dumps({"format": 1} | GOODS))
        change.hset(store, "revision", revision)
        change.execute()
    changed_s = time.monotonic()
    for client in replicas:
        until(lambda: labels(client) == GOODS["labels"])  # noqa: B023 (called at once)
    assert time.monotonic() - changed_s < VISIBLE_S


def test_a_new_replica_embeds_nothing(replicas, start):
    put(replicas[0])
    put(replicas[0], LEARNT, "learnt")
    second = start("dies").client  # its device ends at the first batch
    assert second.get("/health/ready").status_code == 200
    for name in ("pets", "learnt"):
        found, stored = (
            client.get(f"/label-sets/{name}", params={"embeddings": "true"}).json() for client in (second, replicas[0])
        )
        assert found == stored
    assert found["in_force"] is True
    assert found["labels"][0]["examples"][0]["embedding"]


def test_of_two_puts_with_one_etag_exactly_one_wins_a_thousand_times(replicas):
    etag = put(replicas[0]).headers["ETag"]
    wins = [0, 0]
    with ThreadPoolExecutor(2) as pool:
        for number in range(ROUNDS):
            barrier = threading.Barrier(2)

            def attempt(replica: int, number: int = number, etag: str = etag, barrier=barrier) -> httpx.Response:
                barrier.wait()
                return put(replicas[replica], {"labels": [f"{number} of {replica}"]}, **{"If-Match": etag})

            responses = list(pool.map(attempt, (0, 1)))
            assert sorted(response.status_code for response in responses) == [200, 412]
            winner = responses.index(min(responses, key=lambda response: response.status_code))
            wins[winner] += 1
            etag = responses[winner].headers["ETag"]
    final = [f"{ROUNDS - 1} of {winner}"]
    assert labels(replicas[winner]) == final
    until(lambda: labels(replicas[1 - winner]) == final)
    assert min(wins) > 0


def test_without_if_match_both_changes_are_made(replicas):
    """PATCH changes what is stored and not what this replica has seen, so no change is lost."""
    put(replicas[0], {"labels": [f"label {number}" for number in range(40)]})
    until(lambda: labels(replicas[1]) is not None)

    def patch(number: int) -> int:
        body = {"labels": {str(number): {"threshold": number / 100}}}
        return replicas[number % 2].patch("/label-sets/pets", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(patch, range(40))) == {200}
    expected = [{"label": f"label {number}", "threshold": number / 100} for number in range(40)]
    for client in replicas:
        until(lambda client=client: labels(client) == expected)


def test_while_the_store_is_gone_reads_go_on_and_changes_are_503_and_lose_nothing(replicas, server):
    one, other = replicas
    put(one)
    until(lambda: labels(other) == PETS["labels"])
    server.save()
    server.kill()
    for client in replicas:
        assert labels(client) == PETS["labels"]
        changes = [
            put(client, GOODS),
            put(client, GOODS, "new"),
            client.patch("/label-sets/pets", json={"threshold": 0.5}),
            client.delete("/label-sets/pets"),
        ]
        for response in changes:
            assert (response.status_code, response.json()["error_type"]) == (503, "store_unavailable")
            assert int(response.headers["Retry-After"]) > 0
        assert labels(client) == PETS["labels"]
        assert names(client) == ["pets"]
        assert client.get("/health/ready").status_code == 200
        assert client.get("/health/live").status_code == 200
        until(lambda client=client: metric(client, "siglip_store_up") == 0)
        assert metric(client, "siglip_store_failures_total") > 0
    server.start()
    for client in replicas:
        until(lambda client=client: metric(client, "siglip_store_up") == 1)
        assert labels(client) == PETS["labels"]
    assert put(one, GOODS).status_code == 200
    until(lambda: labels(other) == GOODS["labels"])


def test_a_store_that_comes_back_empty_gets_everything_back(replicas, start, server):
    one, other = replicas
    put(one)
    put(one, LEARNT, "learnt")
    put(one, GOODS, "deleted")
    etag = one.get("/label-sets/learnt").headers["ETag"]
    until(lambda: names(other) == ["deleted", "learnt", "pets"])
    assert other.delete("/label-sets/deleted").status_code == 204
    until(lambda: names(one) == ["learnt", "pets"])
    server.kill()
    server.start()
    for client in (one, other):
        assert names(client) == ["learnt", "pets"]
    assert put(one, GOODS, **{"If-Match": one.get("/label-sets/pets").headers["ETag"]}).status_code == 200
    until(lambda: labels(other) == GOODS["labels"])
    third = start("dies")  # embeds nothing: the embeddings are back too
    until(lambda: names(third.client) == ["learnt", "pets"])
    assert third.client.get("/label-sets/learnt").headers["ETag"] == etag
    assert put(third.client, GOODS, "learnt").status_code == 500  # this device ends at the first batch


def test_a_store_that_comes_back_with_old_data_gets_what_is_newer(replicas, server):
    one, other = replicas
    put(one)
    put(one, PETS, "deleted")
    until(lambda: names(other) == ["deleted", "pets"])
    server.save()
    put(one, GOODS)
    put(other, GOODS, "new")
    assert other.delete("/label-sets/deleted").status_code == 204
    until(lambda: names(one) == ["new", "pets"] and labels(other) == GOODS["labels"])
    server.kill()
    server.start()
    for client in replicas:
        until(lambda client=client: metric(client, "siglip_store_up") == 1)
        assert (names(client), labels(client)) == (["new", "pets"], GOODS["labels"])
    assert put(one, PETS, "new").status_code == 200
    until(lambda: labels(other, "new") == PETS["labels"])
    assert names(one) == names(other) == ["new", "pets"]


def test_a_slow_store_delays_no_reader_and_what_it_did_too_late_is_not_done(replicas, server):
    one, other = replicas
    put(one)
    until(lambda: labels(other) == PETS["labels"])
    server.hang()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(put, client, GOODS) for client in replicas]
        for _ in range(50):
            assert labels(one) == labels(other) == PETS["labels"]
            assert one.get("/health/ready").status_code == 200
        for future in waiting:
            assert (future.result().status_code, future.result().json()["error_type"]) == (503, "store_unavailable")
    server.go_on()
    for client in replicas:
        until(lambda client=client: metric(client, "siglip_store_up") == 1)
        assert labels(client) == PETS["labels"]
    assert put(one, GOODS).status_code == 200
    until(lambda: labels(other) == GOODS["labels"])


def test_a_replica_waits_for_the_store_at_its_start(replicas, spawn, server):
    put(replicas[0])
    server.save()
    server.kill()
    waiting = spawn(store=server.url, wait=False)
    until(lambda: "the store does not answer yet" in waiting.client.get("/health/ready").text)
    assert waiting.client.get("/health/live").status_code == 200
    server.start()
    waiting.wait_until_ready()
    assert labels(waiting.client) == PETS["labels"]


def test_a_wrong_password_ends_the_start_and_is_not_shown(spawn, tmp_path):
    (tmp_path / "guarded").mkdir()
    server = RedisServer(tmp_path / "guarded", ["--requirepass", PASSWORD])
    server.start()
    try:
        process = spawn(store=f"redis://:wrong{ESCAPED}@127.0.0.1:{server.port}", wait=False)
        assert process.exit_status() == 1
        log = "".join(process.log)
        assert "the Redis in SIGLIP_STORE refuses this user or password" in log
        assert "wrong" not in log.replace("wrong user", "")
        right = spawn(store=f"redis://:{ESCAPED}@127.0.0.1:{server.port}")
        put(right.client)
        server.kill()
        assert put(right.client).status_code == 503
        shown = "".join(right.log) + right.client.get("/info").text + put(right.client).text
        assert PASSWORD not in shown
        assert ESCAPED not in shown
    finally:
        server.kill()


def test_two_checkpoints_use_one_store_during_an_upgrade_and_back(replicas, start):
    old, new = replicas[0], start("other checkpoint").client
    put(old, {"labels": ["cat", "dog"], "threshold": 0.5})
    until(lambda: labels(new) is not None)
    assert (old.get("/label-sets/pets").json()["in_force"], new.get("/label-sets/pets").json()["in_force"]) == (
        True,
        False,
    )
    put(new, GOODS, "goods")
    until(lambda: labels(old, "goods") == GOODS["labels"])
    # A rollback: a new replica of the old checkpoint embeds nothing, for its embeddings are still there.
    again = start("dies").client
    assert names(again) == ["goods", "pets"]
    assert again.get("/label-sets/pets").json()["in_force"] is True
