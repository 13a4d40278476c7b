"""Dashboard, alerts and autoscaler: every expression parses, and uses only metrics that the service has."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Metric

from app.observability.metrics import MODEL, Metrics
from tests.deploy.conftest import ROOT, tool

DEPLOY = ROOT / "deploy"


def service_metrics() -> list[Metric]:
    """Returns the service's metrics, with at least one series each."""
    metrics = Metrics()
    metrics.request("/classify", "POST", 200, 0.1)
    metrics.model(dict.fromkeys(MODEL, "x"))
    return [family for family in metrics.registry.collect() if family.name.startswith("siglip_")]


OPEN = {"route", "method", "status", "le", *MODEL}  # labels that may have any value
FAMILIES = service_metrics()
# Series name -> its labels -> the values that a label may have, or () if any value is possible.
SERIES: dict[str, Mapping[str, tuple[str, ...]]] = {}
for sample in (sample for family in FAMILIES for sample in family.samples):
    labels = SERIES.setdefault(sample.name, {})
    SERIES[sample.name] = {
        name: () if name in OPEN else (*labels.get(name, ()), value) for name, value in sample.labels.items()
    }
PROCESS = ("process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total")
SERIES |= {name: {} for name in ("up", *PROCESS)}
SCRAPE_LABELS = {"job", "instance", "namespace", "pod"}

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/siglip.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
EXPRESSIONS = {rule["alert"]: rule["expr"] for rule in RULES} | {
    f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]
}


def parsed(expression: str) -> promql_parser.Expr:
    """Returns the syntax tree of an expression, with Grafana's variables replaced."""
    return promql_parser.parse(expression.replace("$__rate_interval", "5m").replace("$instance", ".*"))


def nodes(tree: promql_parser.Expr) -> list[promql_parser.Expr]:
    """Returns all nodes of a syntax tree."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(tree, found.append)
    return found


def unknown_names(expression: str) -> Iterator[str]:
    """Yields the metrics, labels and label values of an expression that the service does not have."""
    everything = nodes(parsed(expression))
    selectors = [node for node in everything if isinstance(node, promql_parser.VectorSelector)]
    labels = set(SCRAPE_LABELS)
    for selector in selectors:
        if selector.name not in SERIES:
            yield selector.name
            continue
        known_labels = SERIES[selector.name]
        labels |= known_labels.keys()
        for matcher in selector.matchers.matchers:
            if matcher.name not in known_labels.keys() | SCRAPE_LABELS:
                yield f"{selector.name}{{{matcher.name}}}"
            if values := known_labels.get(matcher.name):
                yield from set(matcher.value.split("|")) - set(values)
    for node in everything:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            yield from set(node.modifier.labels) - labels


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_every_expression_uses_existing_metrics_and_labels(name: str) -> None:
    assert list(unknown_names(EXPRESSIONS[name])) == []


@pytest.mark.parametrize(
    ("expression", "unknown"),
    [
        ("siglip_que_depth > 3", ["siglip_que_depth"]),
        ('siglip_ready{tower="image"}', ["siglip_ready{tower}"]),
        ("sum by (tower) (rate(siglip_rejected_total[5m]))", ["tower"]),
        ("rate(siglip_inference_seconds[5m])", ["siglip_inference_seconds"]),
        ('siglip_rejected_total{reason=~"overloaded|busy"}', ["busy"]),
    ],
)
def test_a_typo_is_found(expression: str, unknown: list[str]) -> None:
    assert list(unknown_names(expression)) == unknown


def test_every_metric_of_the_service_is_used() -> None:
    used = {
        node.name
        for expression in EXPRESSIONS.values()
        for node in nodes(parsed(expression))
        if isinstance(node, promql_parser.VectorSelector)
    }
    assert [family.name for family in FAMILIES if not used & {sample.name for sample in family.samples}] == []


def test_the_adapter_exports_a_gauge_of_the_service() -> None:
    adapter = yaml.safe_load((DEPLOY / "prometheus/adapter.yml").read_text(encoding="utf-8"))
    (rule,) = adapter["rules"]["custom"]
    assert parsed(rule["seriesQuery"]).name in {family.name for family in FAMILIES if family.type == "gauge"}


def test_panels_have_unique_ids_and_positions_and_the_provisioned_source() -> None:
    sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))
    uids = {panel["datasource"]["uid"] for panel in PANELS}
    assert uids == {source["uid"] for source in sources["datasources"]}
    positions = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(positions)
    cells = [
        (x, y)
        for position in positions
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(set(cells)) == len(cells), "two panels overlap"
    assert max(x for x, _ in cells) < 24


def test_compose_mounts_the_dashboard_in_the_folder_that_grafana_reads() -> None:
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["grafana"]
    mounted = {inside: outside for outside, inside, *_ in (volume.split(":") for volume in grafana["volumes"])}
    providers = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/siglip.yml").read_text(encoding="utf-8"))
    folder = providers["providers"][0]["options"]["path"]
    assert (ROOT / mounted[folder] / "siglip.json").is_file()
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/siglip.json"


def test_the_prometheus_files_are_valid_and_the_alerts_fire_as_expected() -> None:
    for arguments in (["check", "config", "prometheus.yml"], ["test", "rules", "alerts_test.yml"]):
        done = tool("promtool", *arguments, folder=DEPLOY / "prometheus")
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_test_cases() -> None:
    healthy, idle, trouble = yaml.safe_load((DEPLOY / "prometheus/alerts_test.yml").read_text(encoding="utf-8"))[
        "tests"
    ]
    names = {rule["alert"] for rule in RULES}
    for case in (healthy, idle):
        assert {alert["alertname"] for alert in case["alert_rule_test"]} == names
    (expected,) = trouble["promql_expr_test"]
    assert len(expected["exp_samples"]) == len(names)
