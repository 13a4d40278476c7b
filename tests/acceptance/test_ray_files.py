"""The files for Ray: valid by the schemas of Serve and Kubernetes, and in agreement with the service."""

import importlib
import os
import re
import warnings
from typing import Any

import kubernetes_validate
import pytest
import yaml

from app.cluster.options import Scale, deployment_options
from app.settings import PREFIX, Settings, load_settings
from tests.deploy.conftest import ROOT, instructions, tool

FOLDER = ROOT / "deploy/ray"
CONFIG: dict[str, Any] = yaml.safe_load((FOLDER / "serve.yaml").read_text(encoding="utf-8"))
SERVICE: dict[str, Any] = yaml.safe_load((FOLDER / "rayservice.yaml").read_text(encoding="utf-8"))
CLUSTER: dict[str, Any] = SERVICE["spec"]["rayClusterConfig"]
(WORKERS,) = CLUSTER["workerGroupSpecs"]
GROUPS = {"head": CLUSTER["headGroupSpec"], "workers": WORKERS}
(APPLICATION,) = CONFIG["applications"]
SCALE = Scale.model_validate(APPLICATION["args"])
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def pod(group: str) -> dict[str, Any]:
    """Returns the specification of a group's pods."""
    found: dict[str, Any] = GROUPS[group]["template"]["spec"]
    return found


def container(group: str) -> dict[str, Any]:
    """Returns the only container of a group's pods."""
    (found,) = pod(group)["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings where the application is built: of the configuration, and of the pods, without secrets."""
    variables = {pair["name"]: pair["value"] for pair in container("workers")["env"] if "value" in pair}
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    for name, value in (variables | APPLICATION["runtime_env"]["env_vars"]).items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_serve_accepts_the_configuration() -> None:
    pytest.importorskip("ray", reason="needs the extra ray: make acceptance installs it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own, while it is imported
        schema = importlib.import_module("ray.serve.schema").ServeDeploySchema
    assert schema.model_validate(CONFIG).applications[0].import_path == APPLICATION["import_path"]
    with pytest.raises(ValueError, match="proxy_location"):
        schema.model_validate(CONFIG | {"proxy_location": "Everywhere"})


def test_the_application_is_the_one_of_the_service() -> None:
    module, _, name = APPLICATION["import_path"].partition(":")
    source = (ROOT / module.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(scale: Scale\)", source, re.MULTILINE)


def test_kuberay_gets_the_same_configuration() -> None:
    assert yaml.safe_load(SERVICE["spec"]["serveConfigV2"]) == CONFIG


def test_serve_waits_longer_than_the_service(settings: Settings) -> None:
    assert CONFIG["http_options"]["request_timeout_s"] > settings.request_timeout_s
    assert CONFIG["http_options"]["keep_alive_timeout_s"] >= settings.keep_alive_s


def test_the_variables_are_valid_settings(settings: Settings) -> None:
    assert settings.model == "SigLIPBaseP16"
    secret = {pair["name"] for pair in container("workers")["env"] if "valueFrom" in pair}
    assert secret == {"SIGLIP_STORE", "SIGLIP_API_KEYS", "HF_TOKEN"}
    assert container("head")["env"] == container("workers")["env"]


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("version", ["1.30", "1.37"])
def test_the_pods_are_valid(group: str, version: str) -> None:
    document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "siglip"}, "spec": pod(group)}
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("group", GROUPS)
def test_the_pods_have_no_more_rights_than_they_need(group: str) -> None:
    assert pod(group)["enableServiceLinks"] is False
    assert pod(group)["securityContext"]["runAsNonRoot"] is True
    assert container(group)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_worker_pod_has_the_cpus_of_one_replica() -> None:
    assert float(WORKERS["rayStartParams"]["num-cpus"]) == SCALE.num_cpus
    assert float(container("workers")["resources"]["requests"]["cpu"]) == SCALE.num_cpus
    assert (WORKERS["minReplicas"], WORKERS["maxReplicas"]) == (SCALE.min_replicas, SCALE.max_replicas)
    assert GROUPS["head"]["rayStartParams"]["num-cpus"] == "0"


def test_a_pod_ends_after_its_replica(settings: Settings) -> None:
    stops_s = deployment_options(settings, SCALE)["graceful_shutdown_timeout_s"]
    assert pod("workers")["terminationGracePeriodSeconds"] > stops_s


def test_the_version_of_ray_is_the_pinned_one() -> None:
    pins = (ROOT / "requirements-ray.txt").read_text(encoding="utf-8")
    found = re.search(r"^ray\[.*\]==(\S+)$", pins, re.MULTILINE)
    assert found
    assert CLUSTER["rayVersion"] == found[1]
    assert dict(instructions(DOCKERFILE))["FROM"].startswith(f"rayproject/ray:{found[1]}-")


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    done = tool("hadolint", "deploy/ray/Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_dockerfile_copies_is_sent_to_the_builder() -> None:
    sent = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {source for word, rest in instructions(DOCKERFILE) if word == "COPY" for source in rest.split()[:-1]}
    assert {line[1:] for line in sent if line.startswith("!")} == copied
    assert all((ROOT / source).exists() for source in copied)
