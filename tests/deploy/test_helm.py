"""The files of the Helm chart, without Helm: its values, their schema and their documentation agree with the service.

`tests/acceptance/helm/` renders the chart.
"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from app import __version__
from app.settings import PREFIX, Settings, variable
from benchmarks.helm_values import helm_values
from tests.deploy.conftest import ROOT
from tests.documents import blocks

CHART = ROOT / "deploy/helm"
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
# The settings that have values of their own, or that belong to the image.
OTHERWISE_SET = {
    *("HOST", "PORT", "DATA_DIR", "ENGINE_CACHE", "DEVICE", "MODEL", "WEIGHTS", "REVISION", "LABEL_SETS_DIR", "STORE"),
    *("API_KEYS", "API_KEYS_FILE", "ADMIN_KEYS", "ADMIN_KEYS_FILE", "DRAIN_S", "REQUEST_TIMEOUT_S"),
}


def schemas(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a schema and all schemas in it that list properties."""
    if "properties" in schema:
        yield schema
    for part in (schema.get("properties", {}), schema.get("$defs", {})):
        for child in part.values():
            yield from schemas(child)


def paths(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yields the names of the values that a schema knows, such as `image.tag`."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
    if "properties" not in schema:
        yield prefix
    for name, child in schema.get("properties", {}).items():
        yield from paths(child, f"{prefix}.{name}" if prefix else name)


def test_the_chart_has_the_version_of_the_service() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["version"] == chart["appVersion"] == __version__


def test_the_values_and_those_for_a_gpu_are_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name in ("values.yaml", "values-gpu.yaml"):
        jsonschema.validate(yaml.safe_load((CHART / name).read_text(encoding="utf-8")), SCHEMA)


def test_every_object_of_the_schema_refuses_unknown_values() -> None:
    assert all(schema["additionalProperties"] is False for schema in schemas(SCHEMA))
    with pytest.raises(jsonschema.ValidationError, match="replicaCount"):
        jsonschema.validate(VALUES | {"replicaCount": 2}, SCHEMA)


def test_the_schema_the_values_and_their_documentation_have_the_same_names() -> None:
    documented = {name for name, _, _ in helm_values()}
    known = set(paths(SCHEMA)) - {"global"}  # which Helm adds
    # `resources` and the like are one value in the documentation.
    assert {name for name in known if not name.startswith("resources.")} | {"resources"} == documented
    assert [name for name, _, meaning in helm_values() if not meaning] == []


def test_every_setting_can_be_set_in_exactly_one_way() -> None:
    listed = set(SCHEMA["properties"]["settings"]["propertyNames"]["enum"])
    ours = {variable(name) for name in Settings.model_fields if variable(name).startswith(PREFIX)}
    assert listed == ours - {PREFIX + name for name in OTHERWISE_SET}, "correct it in deploy/helm/values.schema.json"


def test_the_alerts_are_one_file() -> None:
    assert (CHART / "alerts.yml").resolve() == ROOT / "deploy/prometheus/alerts.yml"


def test_the_kserve_example_has_no_variables_of_services() -> None:
    (example,) = [block for block in blocks(ROOT / "docs/platforms.md") if block.language == "yaml"]
    assert yaml.safe_load(example.content)["spec"]["predictor"]["enableServiceLinks"] is False
