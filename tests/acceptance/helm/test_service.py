"""The service and Redis run with the variables, files and arguments that the chart renders for their pods."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.helm.rendering import container, environment, found
from tests.acceptance.store.redis_server import RedisServer
from tests.app.conftest import spawn

__all__ = ["spawn"]

RELEASE = "everything"
PASSWORD = "0123456789abcdef"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with the arguments of the chart's StatefulSet."""
    (server,) = found(RELEASE, "StatefulSet", "redis")["spec"]["template"]["spec"]["containers"]
    folder = tmp_path / "redis"
    folder.mkdir()
    started = RedisServer(folder, [word.replace("$(REDIS_PASSWORD)", PASSWORD) for word in server["args"]])
    started.start()
    yield started
    started.kill()


@pytest.fixture
def variables(tmp_path: Path, redis_server: RedisServer) -> dict[str, str]:
    """The variables of the chart's pod, whose volumes are folders here."""
    volumes = {mount["name"]: mount["mountPath"] for mount in container(RELEASE)["volumeMounts"]}
    for name, key in (("api-keys", "reader"), ("admin-keys", "admin"), ("hf-token", "token")):
        file = tmp_path / volumes["keys"].lstrip("/") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{key}\n", encoding="utf-8")
    # Kubernetes mounts a ConfigMap like this: links into a hidden folder.
    label_sets = tmp_path / volumes["label-sets"].lstrip("/")
    (label_sets / "..data").mkdir(parents=True)
    for name, content in found(RELEASE, "ConfigMap", "label-sets")["data"].items():
        (label_sets / "..data" / name).write_text(content, encoding="utf-8")
        (label_sets / name).symlink_to(Path("..data") / name)
    host = found(RELEASE, "Service", "redis")["metadata"]["name"]
    return {
        name: value.replace("$(REDIS_PASSWORD)", PASSWORD)
        .replace(f"{host}:6379", f"127.0.0.1:{redis_server.port}")
        .replace("/etc/siglip", f"{tmp_path}/etc/siglip")
        for name, value in environment(RELEASE).items()
        # One process a pod, and no collector.
        if name not in ("SIGLIP_PROCESSES", "OTEL_EXPORTER_OTLP_ENDPOINT")
    }


def names(client: httpx.Client, path: str) -> set[str]:
    """Returns the names of the label sets."""
    response = client.get(f"{path}/label-sets", headers={"X-API-Key": "reader"})
    assert response.status_code == 200, response.text
    return {label_set["name"] for label_set in response.json()["label_sets"]}


def test_two_pods_share_label_sets_and_know_keys_files_and_path(spawn, variables, tmp_path) -> None:
    one, other = (spawn(variables=dict(variables), data_dir=tmp_path / name, drain_s=0) for name in ("one", "other"))
    path = variables["SIGLIP_ROOT_PATH"]
    assert one.client.get(f"{path}/label-sets").status_code == 401
    assert names(one.client, path) == names(other.client, path) == {"vehicles", "things"}
    pets = {"labels": ["cat", "dog"]}
    refused = one.client.put(f"{path}/label-sets/pets", json=pets, headers={"X-API-Key": "reader"})
    assert (refused.status_code, refused.json()["error_type"]) == (403, "forbidden")
    stored = one.client.put(f"{path}/label-sets/pets", json=pets, headers={"X-API-Key": "admin"})
    assert stored.status_code == 201
    other.wait_for(lambda: "pets" in names(other.client, path))
    assert one.exit_after_sigterm() == 0
