import threading

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from app.observability.metrics import Metrics
from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder


def test_every_metric_exists_after_some_requests(client):
    client.post("/classify?labels=a", content=encoded(plain_image()), headers={"Content-Type": "image/png"})
    client.get("/nowhere")
    response = client.get("/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in parse_text(response.text)}
    assert {family.name for family in Metrics().registry.collect()} | {"siglip_model_info"} <= families.keys()
    labels = [sample.labels for sample in families["siglip_http_requests"].samples]
    assert {"route": "/classify", "method": "POST", "status": "200"} in labels
    assert {"route": "unknown", "method": "GET", "status": "404"} in labels


@pytest.mark.parametrize(
    ("accept", "is_openmetrics"),
    [
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", True),
        ("application/openmetrics-text; version=sesame", True),
        ("text/plain;version=1.0.0;escaping=sesame", False),
        ("*/*", False),
        (",;;=", False),
    ],
)
def test_the_accept_header_selects_the_format_and_is_not_echoed(client, accept, is_openmetrics):
    response = client.get("/metrics", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/openmetrics-text") == is_openmetrics
    assert "sesame" not in response.headers["Content-Type"]
    parse = parse_openmetrics if is_openmetrics else parse_text
    assert "siglip_http_requests" in {family.name for family in parse(response.text)}


def test_the_metrics_are_available_while_the_model_loads(running):
    free = threading.Event()
    with running(FakeEncoder(before_warm_up=free.wait), wait=False) as client:
        response = client.get("/metrics")
        free.set()
    assert response.status_code == 200
    assert "\nsiglip_ready 0.0\n" in response.text


def test_openapi_describes_metrics_as_text(client):
    operation = client.get("/openapi.json").json()["paths"]["/metrics"]["get"]
    assert {status: list(described["content"]) for status, described in operation["responses"].items()} == {
        "200": ["text/plain"]
    }
