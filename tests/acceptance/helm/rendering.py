"""The chart as Helm renders it, for the combinations of values that the tests compare with Kubernetes' schemas."""

import functools
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.deploy.conftest import ROOT

CHART = ROOT / "deploy/helm"
RELEASE, NAMESPACE = "siglip", "prod"
GPU: dict[str, Any] = yaml.safe_load((CHART / "values-gpu.yaml").read_text(encoding="utf-8"))

REDIS = {"redis": {"mode": "existing", "urlSecret": {"name": "redis"}}}
SMALL_REDIS = {"redis": {"mode": "deploy", "passwordSecret": {"name": "redis"}}}
HPA = {"autoscaling": {"kind": "hpa"}}
KEDA = {"autoscaling": {"kind": "keda", "keda": {"serverAddress": "http://prometheus:9090"}}}
KEYS = {"apiKeys": {"secretName": "keys"}, "adminKeys": {"secretName": "keys"}, "huggingFace": {"secretName": "hub"}}
INGRESS = {
    "ingress": {
        "enabled": True,
        "className": "traefik",
        "hosts": ["siglip.example.com", "labels.example.com"],
        "path": "/siglip",
        "annotations": {"example.com/body-size": "20m"},
        "tls": {"secretName": "certificate"},
    }
}
MONITORING = {
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
    }
}
CONFIG_MAP = {"labelSets": {"files": {"vehicles.txt": "car\nboat\n", "things.json": '["pizza", "guitar"]'}}}

COMBINATIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "gpu": GPU,
    "gpu_scaled": GPU | {"autoscaling": GPU["autoscaling"] | {"kind": "hpa"}, "weights": {"source": "volume"}} | REDIS,
    "redis_and_hpa": REDIS | HPA,
    "redis_without_password": {"redis": {"mode": "existing", "url": "redis://redis.example:6380/0", "port": 6380}},
    "small_redis_and_keda": SMALL_REDIS | KEDA | {"weights": {"source": "image"}},
    "sqlite_on_a_volume": {"data": {"volume": {"enabled": True, "storageClass": "fast"}}},
    "baked_image_and_label_sets": {"weights": {"source": "image"}, "replicas": 3} | CONFIG_MAP,
    "label_sets_of_an_existing_config_map": {"labelSets": {"existingConfigMap": "sets"}},
    "filled_claim": {
        "weights": {"source": "volume", "volume": {"existingClaim": "weights", "readOnly": True}},
        "replicas": 4,
    },
    "keys": KEYS | {"imagePullSecrets": [{"name": "registry"}]},
    "ingress_with_tls": INGRESS | KEYS,
    "monitoring": MONITORING,
    "nothing_optional": {
        "podDisruptionBudget": {"enabled": False},
        "networkPolicy": {"enabled": False},
        "metrics": {"annotations": False},
        "spreadOverNodes": False,
        "model": {"variant": "", "weights": ""},
    },
    "openshift": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}},
    "everything": {
        "fullnameOverride": "images",
        "image": {"repository": "registry.example/siglip", "digest": f"sha256:{'0' * 64}"},
        "model": {"revision": "main"},
        "settings": {"SIGLIP_PROCESSES": "4", "SIGLIP_MAX_BATCH": "64"},
        "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}],
        "extraVolumes": [{"name": "authority", "secret": {"secretName": "authority"}}],
        "extraVolumeMounts": [{"name": "authority", "mountPath": "/etc/siglip/authority", "readOnly": True}],
        "networkPolicy": {
            "ingressFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
            "egress": [{"ports": [{"port": 4318, "protocol": "TCP"}]}],
        },
        "service": {"type": "LoadBalancer", "port": 8080, "annotations": {"example.com/internal": "true"}},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
        "podLabels": {"team": "images"},
        "podAnnotations": {"example.com/owner": "images"},
        "serviceAccount": {"name": "images"},
    }
    | SMALL_REDIS
    | HPA
    | KEYS
    | INGRESS
    | MONITORING
    | CONFIG_MAP,
}


def files(values: dict[str, Any]) -> dict[str, str]:
    """Returns what `helm install` would send, by the name of the template.

    Raises:
        helm_python.HelmError: The values are refused.
    """
    with helm_python.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=RELEASE, namespace=NAMESPACE)
    return {Path(name).name: text for name, text in rendered.items()}


@functools.cache
def rendered(combination: str) -> dict[str, str]:
    """Returns the files of a combination."""
    return files(COMBINATIONS[combination])


def documents(combination: str) -> list[dict[str, Any]]:
    """Returns the manifests of a combination."""
    return [
        document
        for name, text in rendered(combination).items()
        if name != "NOTES.txt"
        for document in yaml.safe_load_all(text)
        if document
    ]


def found(combination: str, kind: str, component: str = "") -> dict[str, Any]:
    """Returns the only manifest of a kind whose name ends in `component`: "" is the service's."""
    (document,) = [
        document
        for document in documents(combination)
        if document["kind"] == kind
        and document["metadata"]["name"] == "-".join(filter(None, [fullname(combination), component]))
    ]
    return document


def fullname(combination: str) -> str:
    """Returns the name of the service's objects."""
    name: str = COMBINATIONS[combination].get("fullnameOverride", RELEASE)
    return name


def kinds(combination: str) -> set[str]:
    """Returns the kinds of a combination's manifests."""
    return {document["kind"] for document in documents(combination)}


def pod(combination: str) -> dict[str, Any]:
    """Returns the specification of the service's pods."""
    specification: dict[str, Any] = found(combination, "Deployment")["spec"]["template"]["spec"]
    return specification


def container(combination: str) -> dict[str, Any]:
    """Returns the only container of the service's pods."""
    (only,) = pod(combination)["containers"]
    assert isinstance(only, dict)
    return only


def environment(combination: str) -> dict[str, str]:
    """Returns the container's variables. One that comes from a Secret is "NAME/KEY" of it."""
    values = {}
    for pair in container(combination)["env"]:
        secret = pair.get("valueFrom", {}).get("secretKeyRef")
        values[pair["name"]] = f"{secret['name']}/{secret['key']}" if secret else pair["value"]
    return values
