"""Every document that the chart renders is valid by the schemas of Kubernetes, KEDA and the Prometheus Operator.

Values that the chart does not know, and combinations that would lose data, are refused.
"""

import re
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PrometheusRule, ServiceMonitor

from app import __version__
from tests.acceptance.helm.rendering import CHART, COMBINATIONS, GPU, HPA, KEDA, REDIS, documents, files, rendered
from tests.deploy.conftest import ROOT
from tests.documents import Block, blocks

# The oldest version with `preStop: sleep`, and the newest version with published schemas.
VERSIONS = ["1.30", "1.37"]
GUIDE = ROOT / "docs/kubernetes.md"
EXAMPLES = [block for block in blocks(GUIDE) if block.language == "yaml"]
CUSTOM = {"ScaledObject": ScaledObject, "ServiceMonitor": ServiceMonitor, "PrometheusRule": PrometheusRule}


def unknown_fields(document: dict[str, Any]) -> bool:
    """Returns whether a custom resource has fields that its definition does not know: its model drops them."""
    model = CUSTOM[document["kind"]].model_validate(document)
    kept = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return bool(kept != document)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_every_document_is_valid(combination: str) -> None:
    checked = documents(combination)
    assert len({(document["kind"], document["metadata"]["name"]) for document in checked}) == len(checked)
    for document in checked:
        if document["kind"] in CUSTOM:
            assert not unknown_fields(document), document
        else:
            for version in VERSIONS:
                kubernetes_validate.validate(document, version, strict=True)


def test_the_combinations_have_every_kind_of_the_chart() -> None:
    kinds = {document["kind"] for combination in COMBINATIONS for document in documents(combination)}
    assert kinds == {
        *("Deployment", "Service", "StatefulSet", "ConfigMap", "PersistentVolumeClaim", "Pod", "Ingress"),
        *("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", *CUSTOM),
    }


def test_the_schemas_find_a_typo() -> None:
    (deployment,) = [document for document in documents("defaults") if document["kind"] == "Deployment"]
    wrong = yaml.safe_load(yaml.safe_dump(deployment).replace("readinessProbe", "readynessProbe"))
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)
    for document in documents("monitoring") + documents("small_redis_and_keda"):
        if document["kind"] in CUSTOM:
            assert unknown_fields(document | {"spec": document["spec"] | {"typo": 1}})


def test_the_linter_finds_nothing_but_the_missing_icon() -> None:
    result = helm_python.lint(CHART)
    assert result["errors"] == []
    assert [message["error"] for message in result["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize(
    "values",
    [
        {"replicaCount": 2},
        {"image": {"name": "siglip"}},
        {"autoscaling": {"enabled": True}},
        {"redis": {"enabled": True}},
        {"redis": {"mode": "existing", "url": "redis://:password@redis:6379"}},  # belongs into a Secret
        {"settings": {"SIGLIP_MAX_BACTH": "8"}},
        {"settings": {"SIGLIP_MAX_BODY_BYTES": 20_000_000}},  # would become 2e+07
        {"settings": {"SIGLIP_API_KEYS": "secret"}},
        {"extraEnv": [{"name": "SIGLIP_API_KEYS", "value": "secret"}]},
        {"labelSets": {"files": {"vehicles.csv": "car"}}},
        {"replicas": "2"},
        {"device": "tpu"},
    ],
    ids=str,
)
def test_unknown_and_misplaced_values_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(helm_python.HelmValuesError, match="values don't meet the specifications of the schema"):
        files(values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"data": {"volume": {"enabled": True}}, "replicas": 2}, "must not share SQLite .* Set redis.mode=existing"),
        ({"data": {"volume": {"enabled": True, "existingClaim": "shared"}}} | HPA, "with 8 replicas: several pods"),
        ({"data": {"volume": {"enabled": True}}} | KEDA, "use labelSets.files"),
        ({"data": {"volume": {"enabled": True}}} | REDIS, "the data volume would have no use"),
        ({"redis": {"mode": "existing"}}, "Set redis.urlSecret.name"),
        ({"redis": {"mode": "deploy"}}, "Set redis.passwordSecret.name"),
        ({"redis": {"url": "redis://redis:6379/0"}}, "Set redis.mode=existing"),
        ({"redis": REDIS["redis"] | {"url": "redis://redis:6379/0"}}, "both set"),
        (
            {"weights": {"source": "volume", "volume": {"accessMode": "ReadWriteOnce"}}, "replicas": 2},
            "only pods on one node",
        ),
        ({"weights": {"source": "volume", "volume": {"readOnly": True}}}, "Set weights.volume.existingClaim"),
        ({"device": "gpu"}, "Add -f values-gpu.yaml"),
        ({"labelSets": {"files": {"a.txt": "a"}, "existingConfigMap": "sets"}}, "both set"),
        ({"autoscaling": {"kind": "hpa", "minReplicas": 9}}, "larger than autoscaling.maxReplicas"),
        ({"autoscaling": {"kind": "keda"}}, "Set autoscaling.keda.serverAddress"),
        ({"ingress": {"enabled": True}}, "Set ingress.hosts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_combination_that_cannot_work_is_refused_with_what_to_do(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(helm_python.HelmRenderError, match=reason):
        files(values)


def test_several_replicas_without_a_shared_store_are_possible_if_label_sets_come_from_files() -> None:
    assert "WARNING: there may be several pods, and a PUT" in rendered("baked_image_and_label_sets")["NOTES.txt"]
    for combination in ("defaults", "redis_and_hpa", "small_redis_and_keda", "sqlite_on_a_volume"):
        assert "a PUT of a label set" not in rendered(combination)["NOTES.txt"]


def test_the_notes_warn_of_downloads_and_of_a_service_without_keys() -> None:
    assert "each new pod downloads the weights" in rendered("redis_and_hpa")["NOTES.txt"]
    assert "each new pod downloads the weights" not in rendered("small_redis_and_keda")["NOTES.txt"]
    open_to_all = files(GPU | {"service": {"type": "LoadBalancer"}})
    assert "Set apiKeys.secretName" in open_to_all["NOTES.txt"]
    assert "Set apiKeys.secretName" not in rendered("ingress_with_tls")["NOTES.txt"]
    assert "https://siglip.example.com/siglip/classify" in rendered("ingress_with_tls")["NOTES.txt"]


@pytest.mark.parametrize("block", EXAMPLES, ids=lambda block: f"line {block.line}")
def test_every_example_of_the_guide_is_valid(block: Block) -> None:
    content = yaml.safe_load(block.content)
    if "kind" in content:
        kubernetes_validate.validate(content, VERSIONS[-1], strict=True)
    else:
        files(content)


def test_the_guide_names_no_other_version_of_the_chart() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert set(re.findall(r"siglip:(\d+\.\d+\.\d+)-", text)) == {__version__}
