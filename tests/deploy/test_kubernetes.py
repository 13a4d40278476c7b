"""The Kubernetes manifests: they render, are valid by Kubernetes' schemas, and agree with the service."""

import functools
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.main import create_app
from app.settings import Settings
from tests.deploy.conftest import ROOT, image_environment, settings_of, tool
from tests.documents import blocks
from tests.fakes import FakeEncoder

FOLDER = ROOT / "deploy/kubernetes"
OVERLAYS = ["cpu", "gpu"]
# The oldest version with `preStop: sleep`, and the newest version with published schemas.
VERSIONS = ["1.30", "1.37"]
LABELS = {"app.kubernetes.io/name": "siglip"}


@functools.cache
def rendered(overlay: str) -> dict[str, Any]:
    """Returns the manifests that `kubectl apply -k` would send, by kind."""
    done = tool("kubectl", "kustomize", str(FOLDER / "overlays" / overlay))
    assert done.returncode == 0, done.stderr
    return {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


def pod(overlay: str) -> dict[str, Any]:
    """Returns the pod's specification."""
    found: dict[str, Any] = rendered(overlay)["Deployment"]["spec"]["template"]["spec"]
    return found


def container(overlay: str) -> dict[str, Any]:
    """Returns the pod's only container."""
    (found,) = pod(overlay)["containers"]
    assert isinstance(found, dict)
    return found


def settings(overlay: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Returns the settings of the pod, without secrets."""
    return settings_of(
        {pair["name"]: pair["value"] for pair in container(overlay)["env"] if "value" in pair}, monkeypatch
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_valid(overlay: str, version: str) -> None:
    documents = rendered(overlay)
    assert set(documents) == {
        *("Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy")
    }
    for document in documents.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_find_a_typo() -> None:
    document = yaml.safe_load((FOLDER / "base/deployment.yaml").read_text(encoding="utf-8"))
    document["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(document, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_selector_matches_only_these_pods(overlay: str) -> None:
    documents = rendered(overlay)
    assert documents["Deployment"]["spec"]["template"]["metadata"]["labels"] == LABELS
    # An empty selector would match every pod of the namespace.
    assert documents["Service"]["spec"]["selector"] == LABELS
    for kind, name in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert documents[kind]["spec"][name] == {"matchLabels": LABELS}
    assert (
        documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
        == (documents["Deployment"]["metadata"]["name"])
    )
    assert "replicas" not in documents["Deployment"]["spec"], "the autoscaler sets the number of replicas"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_variables_are_valid_settings(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings(overlay, monkeypatch).device == overlay
    secret = {pair["name"] for pair in container(overlay)["env"] if "valueFrom" in pair}
    assert secret == {"SIGLIP_API_KEYS", "HF_TOKEN"}
    # Otherwise a Service named siglip sets SIGLIP_PORT=tcp://... and more in the pods of its namespace.
    assert pod(overlay)["enableServiceLinks"] is False


def test_the_kserve_example_has_no_variables_of_services() -> None:
    (example,) = [block for block in blocks(ROOT / "docs/platforms.md") if block.language == "yaml"]
    assert yaml.safe_load(example.content)["spec"]["predictor"]["enableServiceLinks"] is False


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_all_ports_are_the_same(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = container(overlay)["ports"]
    assert port == {"name": "http", "containerPort": settings(overlay, monkeypatch).port}
    (service,) = rendered(overlay)["Service"]["spec"]["ports"]
    assert service["targetPort"] == "http"
    assert rendered(overlay)["NetworkPolicy"]["spec"]["ingress"] == [{"ports": [{"port": "http", "protocol": "TCP"}]}]
    annotations = rendered(overlay)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_probe_has_its_endpoint(overlay: str) -> None:
    for name in ("startup", "liveness", "readiness"):
        path = {"startup": "startup", "liveness": "live", "readiness": "ready"}[name]
        assert container(overlay)[f"{name}Probe"]["httpGet"] == {"path": f"/health/{path}", "port": "http"}
        assert f"/health/{path}" in create_app(Settings(), FakeEncoder()).openapi()["paths"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_grace_period_is_long_enough(overlay: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(overlay, monkeypatch)
    before = container(overlay)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod(overlay)["terminationGracePeriodSeconds"]
    assert grace > before + chosen.drain_s + chosen.request_timeout_s
    probe = container(overlay)["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] <= before + chosen.drain_s, (
        "the pod must become unready before it stops serving"
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_meets_the_restricted_standard(overlay: str) -> None:
    assert pod(overlay)["securityContext"]["runAsNonRoot"] is True
    assert pod(overlay)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(overlay)["automountServiceAccountToken"] is False
    assert container(overlay)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(overlay))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_folders_that_the_image_writes_are_mounted(overlay: str) -> None:
    environment = image_environment()
    mounted = {mount["mountPath"]: mount["name"] for mount in container(overlay)["volumeMounts"]}
    assert set(mounted) == {environment["HF_HOME"], environment["SIGLIP_DATA_DIR"], environment["HOME"]}
    assert set(mounted.values()) == {volume["name"] for volume in pod(overlay)["volumes"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_memory_limit_is_enough_for_two_decode_workers_in_half_of_it(overlay: str) -> None:
    gibibytes = int(container(overlay)["resources"]["limits"]["memory"].removesuffix("Gi"))
    assert (gibibytes << 30) // 2 // Settings.model_fields["decode_memory_bytes"].default >= 2


def test_only_the_gpu_overlay_requests_a_gpu_and_a_gpu_node() -> None:
    assert container("gpu")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container("gpu")["image"] == "siglip:gpu"
    assert pod("gpu")["nodeSelector"] == {"nvidia.com/gpu.present": "true"}
    assert "nvidia.com/gpu" not in container("cpu")["resources"]["limits"]
    assert container("cpu")["image"] == "siglip:cpu"
    assert "nodeSelector" not in pod("cpu")
