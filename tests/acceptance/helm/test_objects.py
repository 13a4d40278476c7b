"""Everything around the pods: services, Ingress, autoscaling, network policies, monitoring and Redis."""

import promql_parser
import pytest
import yaml

from app.healthcheck import listening
from app.settings import Settings
from tests.acceptance.helm.rendering import (
    COMBINATIONS,
    GPU,
    NAMESPACE,
    container,
    documents,
    environment,
    files,
    found,
    fullname,
    kinds,
)
from tests.deploy.conftest import ROOT

SCALED = ["gpu_scaled", "redis_and_hpa", "small_redis_and_keda", "everything"]


def selector(component: str) -> dict[str, str]:
    """Returns the labels by which the pods of a component are selected."""
    return {
        "app.kubernetes.io/name": "siglip",
        "app.kubernetes.io/instance": "siglip",
        "app.kubernetes.io/component": component,
    }


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_every_selector_matches_only_the_pods_of_its_component(combination: str) -> None:
    # An empty selector would match every pod of the namespace.
    for document in documents(combination):
        kind, name = document["kind"], document["metadata"]["name"]
        component = selector("redis" if name.endswith("-redis") else "server")
        selectors = {
            "Deployment": lambda spec: spec["selector"]["matchLabels"],
            "StatefulSet": lambda spec: spec["selector"]["matchLabels"],
            "Service": lambda spec: spec["selector"],
            "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
            "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
            "ServiceMonitor": lambda spec: spec["selector"]["matchLabels"],
        }
        if kind in selectors:
            assert selectors[kind](document["spec"]) == component
        if kind in ("Deployment", "StatefulSet"):
            assert component.items() <= document["spec"]["template"]["metadata"]["labels"].items()
        assert kind != "Pod" or document["metadata"]["labels"]["app.kubernetes.io/component"] == "test"


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_the_ports_are_the_same_from_the_service_to_the_pod(combination: str) -> None:
    (port,) = found(combination, "Service")["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == ("http", container(combination)["ports"][0]["name"])
    test = found(combination, "Pod", "test")["spec"]["containers"][0]
    variables = {pair["name"]: pair["value"] for pair in test["env"]}
    assert listening(variables, []) == ([fullname(combination)], port["port"])
    assert test["command"] == ["python", "-m", "app.healthcheck"]


def test_the_ingress_has_tls_and_a_path_that_the_service_knows() -> None:
    ingress = found("ingress_with_tls", "Ingress")["spec"]
    hosts = ["siglip.example.com", "labels.example.com"]
    assert ingress["ingressClassName"] == "traefik"
    assert ingress["tls"] == [{"secretName": "certificate", "hosts": hosts}]
    assert [rule["host"] for rule in ingress["rules"]] == hosts
    for rule in ingress["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["backend"] == {"service": {"name": "siglip", "port": {"name": "http"}}}
        assert path["path"] == environment("ingress_with_tls")["SIGLIP_ROOT_PATH"]
    assert "Ingress" not in kinds("defaults")
    plain = yaml.safe_load(files({"ingress": {"enabled": True, "hosts": ["a.example"]}})["ingress.yaml"])
    assert not {"tls", "ingressClassName"} & set(plain["spec"])


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_only_an_autoscaler_or_the_deployment_has_the_number_of_pods(combination: str) -> None:
    scalers = {"HorizontalPodAutoscaler", "ScaledObject"} & kinds(combination)
    assert len(scalers) == (combination in SCALED)
    deployment = found(combination, "Deployment")
    assert ("replicas" in deployment["spec"]) is not bool(scalers), "every upgrade would reset the number"
    for kind in scalers:
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
        assert found(combination, kind)["spec"]["scaleTargetRef"] == target


def test_the_autoscalers_use_the_metric_that_the_adapter_and_prometheus_have() -> None:
    adapter = yaml.safe_load((ROOT / "deploy/prometheus/adapter.yml").read_text(encoding="utf-8"))
    (rule,) = adapter["rules"]["custom"]
    hpa, keda = found("redis_and_hpa", "HorizontalPodAutoscaler"), found("small_redis_and_keda", "ScaledObject")
    (metric,) = hpa["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == promql_parser.parse(rule["seriesQuery"]).name
    assert metric["pods"]["target"] == {"type": "AverageValue", "averageValue": "8"}
    (trigger,) = keda["spec"]["triggers"]
    assert (trigger["type"], trigger["metricType"], trigger["metadata"]["threshold"]) == (
        "prometheus",
        "AverageValue",
        "8",
    )
    selectors: list[promql_parser.VectorSelector] = []
    promql_parser.walk(
        promql_parser.parse(trigger["metadata"]["query"]),
        lambda node: selectors.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    assert [one.name for one in selectors] == [metric["pods"]["metric"]["name"]]
    labels = {matcher.name: matcher.value for matcher in selectors[0].matchers.matchers}
    assert labels == {"namespace": NAMESPACE, "pod": "siglip-[^-]+-[^-]+"}
    behavior = keda["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == hpa["spec"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 600


def test_a_gpu_waits_for_two_batches_before_another_is_added() -> None:
    batch = Settings.model_fields["max_batch"].default
    assert GPU["autoscaling"]["queuePerPod"] == 2 * batch
    assert found("gpu_scaled", "Deployment")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0


def test_keda_can_use_another_query_and_authentication() -> None:
    values = {"serverAddress": "https://mimir/prometheus", "query": "sum(queue)", "authentication": "mimir"}
    scaled = yaml.safe_load(files({"autoscaling": {"kind": "keda", "keda": values}})["autoscaler.yaml"])
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["metadata"]["query"] == "sum(queue)"
    assert trigger["authenticationRef"] == {"name": "mimir"}


def egress(combination: str) -> list[int]:
    """Returns the ports that the service's pods may connect to."""
    rules = found(combination, "NetworkPolicy")["spec"]["egress"]
    return [port["port"] for rule in rules for port in rule["ports"]]


def test_the_network_policy_allows_what_the_values_need() -> None:
    dns = [53, 53]
    assert egress("defaults") == [*dns, 443]
    assert egress("filled_claim") == dns
    assert egress("baked_image_and_label_sets") == dns
    assert egress("redis_and_hpa") == [*dns, 443, 6379]
    assert egress("redis_without_password") == [*dns, 443, 6380]
    assert egress("small_redis_and_keda") == [*dns, 6379]
    assert egress("everything") == [*dns, 443, 6379, 4318]
    (ingress,) = found("defaults", "NetworkPolicy")["spec"]["ingress"]
    assert ingress == {"ports": [{"port": "http", "protocol": "TCP"}]}
    (ingress,) = found("everything", "NetworkPolicy")["spec"]["ingress"]
    test, *others = ingress["from"]
    assert test == {"podSelector": {"matchLabels": selector("test")}}
    assert selector("test").items() <= found("everything", "Pod", "test")["metadata"]["labels"].items()
    assert others == COMBINATIONS["everything"]["networkPolicy"]["ingressFrom"]
    assert "NetworkPolicy" not in kinds("nothing_optional")


def test_only_the_service_connects_to_the_small_redis_which_keeps_its_data_and_has_a_password() -> None:
    policy = found("small_redis_and_keda", "NetworkPolicy", "redis")["spec"]
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": selector("server")}}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    redis = found("small_redis_and_keda", "StatefulSet", "redis")["spec"]
    (server,) = redis["template"]["spec"]["containers"]
    assert server["args"][-2:] == ["--requirepass", "$(REDIS_PASSWORD)"]
    assert server["args"][:2] == ["--appendonly", "yes"]
    assert [mount["name"] for mount in server["volumeMounts"]] == [
        claim["metadata"]["name"] for claim in redis["volumeClaimTemplates"]
    ]


def test_the_alerts_are_those_of_the_prometheus_file_and_select_the_job_of_the_monitor() -> None:
    alerts = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))
    assert found("monitoring", "PrometheusRule")["spec"] == alerts
    (endpoint,) = found("monitoring", "ServiceMonitor")["spec"]["endpoints"]
    (relabeling,) = endpoint["relabelings"]
    down = promql_parser.parse(alerts["groups"][0]["rules"][0]["expr"]).lhs
    (matcher,) = down.matchers.matchers
    assert (matcher.name, matcher.value) == (relabeling["targetLabel"], relabeling["replacement"])
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert found("monitoring", kind)["metadata"]["labels"]["release"] == "prometheus"


def test_pods_are_found_by_annotations_or_by_a_service_monitor_but_not_by_both() -> None:
    annotations = {
        name: found(name, "Deployment")["spec"]["template"]["metadata"]["annotations"]
        for name in ("defaults", "monitoring", "nothing_optional", "everything")
    }
    assert annotations["defaults"]["prometheus.io/port"] == str(container("defaults")["ports"][0]["containerPort"])
    assert annotations["defaults"]["prometheus.io/path"] == "/metrics"
    assert "prometheus.io/scrape" not in annotations["monitoring"]
    assert "prometheus.io/scrape" not in annotations["nothing_optional"]
    assert annotations["everything"]["example.com/owner"] == "images"


def test_a_drain_of_nodes_evicts_one_pod_at_a_time() -> None:
    assert found("defaults", "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    assert "PodDisruptionBudget" not in kinds("nothing_optional")
