"""The pods of the service agree with its settings, its endpoints and its image, and are locked down."""

from typing import Any

import pytest
import yaml

from app.main import create_app
from app.settings import Settings
from tests.acceptance.helm.rendering import CHART, COMBINATIONS, container, environment, files, found, pod
from tests.deploy.conftest import image_environment, settings_of
from tests.fakes import FakeEncoder

KEYS = "/etc/siglip/keys"
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SECRETS = {"SIGLIP_STORE", "REDIS_PASSWORD"}  # the only ones that are variables; all others are files


def settings(combination: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Returns the settings of a pod."""
    variables = environment(combination)
    if "SIGLIP_STORE" in variables:  # from a Secret, or with a password from one
        variables["SIGLIP_STORE"] = "redis://:secret@redis:6379/0"
    return settings_of(variables, monkeypatch)


def mounts(combination: str) -> dict[str, dict[str, Any]]:
    """Returns the volumes of a pod by the path at which the container sees them."""
    volumes = {volume["name"]: volume for volume in pod(combination)["volumes"]}
    mounted = {mount["mountPath"]: volumes.pop(mount["name"]) for mount in container(combination)["volumeMounts"]}
    assert volumes == {}, "a volume is not mounted"
    return mounted


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_variables_are_valid_settings(combination: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(combination, monkeypatch)
    assert chosen.device == COMBINATIONS[combination].get("device", "cpu")
    assert container(combination)["ports"] == [{"name": "http", "containerPort": chosen.port}]
    # Otherwise a Service named siglip sets SIGLIP_PORT=tcp://... and more in the pods of its namespace.
    assert pod(combination)["enableServiceLinks"] is False
    names = [pair["name"] for pair in container(combination)["env"]]
    assert len(set(names)) == len(names)


def test_model_and_settings_reach_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings("everything", monkeypatch)
    assert (chosen.model, chosen.weights, chosen.revision) == ("SigLIPBaseP16", "google_224", "main")
    assert (chosen.processes, chosen.max_batch) == (4, 64)
    assert environment("everything")["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4318"
    as_in_the_image = settings("nothing_optional", monkeypatch)
    assert (as_in_the_image.model, as_in_the_image.weights) == (None, None)


def test_keys_come_from_files_of_secrets() -> None:
    variables = environment("keys")
    assert variables["SIGLIP_API_KEYS_FILE"] == f"{KEYS}/api-keys"
    assert variables["SIGLIP_ADMIN_KEYS_FILE"] == f"{KEYS}/admin-keys"
    assert variables["HF_TOKEN_PATH"] == f"{KEYS}/hf-token"
    sources = [source["secret"] for source in mounts("keys")[KEYS]["projected"]["sources"]]
    assert [(source["name"], source["items"]) for source in sources] == [
        ("keys", [{"key": "api-keys", "path": "api-keys"}]),
        ("keys", [{"key": "admin-keys", "path": "admin-keys"}]),
        ("hub", [{"key": "hf-token", "path": "hf-token"}]),
    ]
    assert KEYS not in mounts("defaults")
    assert pod("keys")["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_no_secret_but_the_address_of_redis_is_a_variable(combination: str) -> None:
    from_secrets = {pair["name"] for pair in container(combination)["env"] if "valueFrom" in pair}
    assert from_secrets <= SECRETS


def test_the_address_of_redis() -> None:
    assert environment("redis_and_hpa")["SIGLIP_STORE"] == "redis/redis-url"
    assert environment("redis_without_password")["SIGLIP_STORE"] == "redis://redis.example:6380/0"
    names = list(environment("small_redis_and_keda"))
    assert names.index("REDIS_PASSWORD") < names.index("SIGLIP_STORE"), "Kubernetes replaces earlier variables only"
    assert environment("small_redis_and_keda")["REDIS_PASSWORD"] == "redis/redis-password"
    service = found("small_redis_and_keda", "Service", "redis")
    (port,) = service["spec"]["ports"]
    address = f"redis://:$(REDIS_PASSWORD)@{service['metadata']['name']}:{port['port']}/0"
    assert environment("small_redis_and_keda")["SIGLIP_STORE"] == address
    assert "SIGLIP_STORE" not in environment("sqlite_on_a_volume")


def test_each_probe_has_its_endpoint() -> None:
    endpoints = create_app(Settings(), FakeEncoder()).openapi()["paths"]
    for name, path in {"startup": "startup", "liveness": "live", "readiness": "ready"}.items():
        assert container("defaults")[f"{name}Probe"]["httpGet"] == {"path": f"/health/{path}", "port": "http"}
        assert f"/health/{path}" in endpoints


@pytest.mark.parametrize(("before", "drain_s", "timeout_s"), [(5, 10, 60), (20, 45, 300)])
def test_the_grace_period_is_long_enough(
    before: int, drain_s: int, timeout_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"preStopSeconds": before, "drainSeconds": drain_s, "requestTimeoutSeconds": timeout_s}
    if values == DEFAULTS["shutdown"]:
        values = {}
    specification = yaml.safe_load(files({"shutdown": values})["deployment.yaml"])["spec"]["template"]["spec"]
    (server,) = specification["containers"]
    chosen = settings_of({pair["name"]: pair["value"] for pair in server["env"]}, monkeypatch)
    assert (chosen.drain_s, chosen.request_timeout_s) == (drain_s, timeout_s)
    assert server["lifecycle"]["preStop"]["sleep"]["seconds"] == before
    assert specification["terminationGracePeriodSeconds"] > before + drain_s + timeout_s
    probe = server["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= before + drain_s, (
        "the pod must become unready before it stops serving"
    )


def test_the_time_for_the_start_is_rounded_up_to_a_whole_probe() -> None:
    (server,) = yaml.safe_load(files({"startupSeconds": 61})["deployment.yaml"])["spec"]["template"]["spec"][
        "containers"
    ]
    probe = server["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 65


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Pod"])
def test_every_pod_meets_the_restricted_standard(combination: str, kind: str) -> None:
    if kind == "StatefulSet" and COMBINATIONS[combination].get("redis", {}).get("mode") != "deploy":
        return
    document = found(combination, kind, {"Deployment": "", "StatefulSet": "redis", "Pod": "test"}[kind])
    specification = document["spec"] if kind == "Pod" else document["spec"]["template"]["spec"]
    assert specification["securityContext"]["runAsNonRoot"] is True
    assert specification["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert specification["automountServiceAccountToken"] is False
    assert specification["enableServiceLinks"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(specification)
    for one in specification["containers"]:
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in one["resources"]["limits"]


def test_openshift_chooses_the_user() -> None:
    assert set(pod("openshift")["securityContext"]) == {"runAsNonRoot", "fsGroupChangePolicy", "seccompProfile"}
    assert pod("defaults")["securityContext"]["runAsUser"] == 10001


def test_the_folders_that_the_image_writes_are_mounted() -> None:
    image = image_environment()
    weights, data, home = image["HF_HOME"], image["SIGLIP_DATA_DIR"], image["HOME"]
    for combination in COMBINATIONS:
        baked = COMBINATIONS[combination].get("weights", {}).get("source") == "image"
        written = {path for path in mounts(combination) if not path.startswith("/etc/")}
        assert written == ({data, home} if baked else {data, home, weights})
    assert "emptyDir" in mounts("defaults")[weights]
    assert mounts("gpu_scaled")[weights]["persistentVolumeClaim"] == {"claimName": "siglip-weights", "readOnly": False}
    assert found("gpu_scaled", "PersistentVolumeClaim", "weights")["spec"]["accessModes"] == ["ReadWriteMany"]
    assert mounts("filled_claim")[weights]["persistentVolumeClaim"] == {"claimName": "weights", "readOnly": True}
    assert environment("filled_claim")["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment("gpu_scaled")


def test_sqlite_on_a_volume_has_one_pod_at_a_time() -> None:
    data = mounts("sqlite_on_a_volume")[image_environment()["SIGLIP_DATA_DIR"]]
    assert data["persistentVolumeClaim"] == {"claimName": "siglip-data"}
    claim = found("sqlite_on_a_volume", "PersistentVolumeClaim", "data")["spec"]
    assert (claim["accessModes"], claim["storageClassName"]) == (["ReadWriteOnce"], "fast")
    deployment = found("sqlite_on_a_volume", "Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    for combination in ("defaults", "gpu_scaled", "filled_claim"):
        assert found(combination, "Deployment")["spec"]["strategy"]["type"] == "RollingUpdate"


def test_a_claim_for_weights_that_one_node_can_mount_has_one_pod_at_a_time() -> None:
    values = {"weights": {"source": "volume", "volume": {"accessMode": "ReadWriteOnce"}}}
    assert yaml.safe_load(files(values)["claims.yaml"])["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert yaml.safe_load(files(values)["deployment.yaml"])["spec"]["strategy"] == {"type": "Recreate"}


def test_label_sets_of_a_config_map_are_where_the_service_loads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for combination, name in (
        ("baked_image_and_label_sets", "siglip-label-sets"),
        ("label_sets_of_an_existing_config_map", "sets"),
    ):
        folder = settings(combination, monkeypatch).label_sets_dir
        assert mounts(combination)[str(folder)]["configMap"] == {"name": name}
    config_map = found("baked_image_and_label_sets", "ConfigMap", "label-sets")
    assert config_map["data"] == {"vehicles.txt": "car\nboat\n", "things.json": '["pizza", "guitar"]'}
    one, other = (
        yaml.safe_load(files({"labelSets": {"files": {"a.txt": label}}})["deployment.yaml"]) for label in ("x", "y")
    )
    assert one["spec"]["template"] != other["spec"]["template"], "a changed label set must restart the pods"


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_memory_limit_is_enough_for_two_decode_workers_in_half_of_it(combination: str) -> None:
    gibibytes = int(container(combination)["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert (gibibytes << 30) // 2 // Settings.model_fields["decode_memory_bytes"].default >= 2


def test_only_the_gpu_values_request_a_gpu_and_a_gpu_node() -> None:
    assert container("gpu")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container("gpu")["image"] == "siglip:gpu"
    assert pod("gpu")["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert "nvidia.com/gpu" not in container("defaults")["resources"]["limits"]
    assert container("defaults")["image"] == "siglip:cpu"
    assert "nodeSelector" not in pod("defaults")
    assert container("everything")["image"] == f"registry.example/siglip@sha256:{'0' * 64}"


def test_the_default_tag_is_one_that_compose_builds() -> None:
    compose = yaml.safe_load((CHART.parent.parent / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    for combination, service in (("defaults", "cpu"), ("gpu", "gpu")):
        assert container(combination)["image"] == compose[service]["image"]
