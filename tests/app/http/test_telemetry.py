import logging
import re
import socket
import time
from collections.abc import Callable

import pytest
from fastapi import APIRouter, FastAPI

from app.http.telemetry import route_template
from app.observability.logs import JSONFormatter, TextFormatter
from tests.app.image_files import encoded, plain_image


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-Id": "abc-1.2_3"}, "abc-1.2_3"),
        ({"X-Amzn-Trace-Id": "Root=1-67891233-abc"}, "Root=1-67891233-abc"),
        ({"X-Request-Id": "mine", "X-Amzn-Trace-Id": "theirs"}, "mine"),
        ({"X-Request-Id": "two words", "X-Amzn-Trace-Id": "theirs"}, "theirs"),
    ],
)
def test_the_callers_valid_request_id_is_kept(client, headers, expected):
    assert client.get("/health/live", headers=headers).headers["X-Request-Id"] == expected


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a/b", "é", "a\u2028b", "a\tb"])
def test_an_invalid_request_id_is_replaced(client, given):
    response = client.get("/health/live", headers={"X-Request-Id": given.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["X-Request-Id"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/info"), ("GET", "/nowhere"), ("PUT", "/info"), ("POST", "/classify")]
)
def test_every_response_has_a_request_id_and_its_timing(client, method, path):
    response = client.request(method, path)
    assert len(response.headers["X-Request-Id"]) == 32
    assert response.headers["Server-Timing"].startswith("total;dur=")


def line_of(caplog: pytest.LogCaptureFixture, route: str) -> logging.LogRecord:
    """Returns the log line of the only request to a route. Waits for it: it may be logged after the response."""
    deadline_s = time.monotonic() + 10
    while not (lines := [record for record in caplog.records if getattr(record, "facts", {}).get("route") == route]):
        assert time.monotonic() < deadline_s, f"no line of a request to {route}"
        time.sleep(0.01)
    (line,) = lines
    return line


def test_a_request_is_one_log_line_with_sizes_and_without_content(client, caplog):
    image = encoded(plain_image())
    with caplog.at_level(logging.INFO, "app"):
        headers = {"Content-Type": "image/png", "X-Secret": "sesame"}
        response = client.post("/classify", params={"labels": "sesame"}, content=image, headers=headers)
        line = line_of(caplog, "/classify").facts
    assert {"request_id", "receive_ms", "decode_ms", "queue_ms", "image_ms", "text_ms", "total_ms"} < set(line)
    expected = {
        "route": "/classify",
        "method": "POST",
        "path": "/classify",
        "status": 200,
        "request_bytes": len(image),
        "response_bytes": len(response.content),
        "labels": 1,
        "image": "24x24",
        "format": "PNG",
    }
    assert {name: line[name] for name in expected} == expected
    assert "sesame" not in str(line)


def test_a_refused_request_is_one_log_line_with_its_code(client, caplog):
    with caplog.at_level(logging.INFO, "app"):
        client.post("/classify", content=b"sesame", headers={"Content-Type": "text/plain"})
        line = line_of(caplog, "/classify").facts
    assert (line["status"], line["error_type"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "path",
    [
        b"/%0a2030-01-01%20INFO%20forged%0d%0a",
        b"/%1b[31m%07%00%7f%c2%9b",
        b"/%e2%80%a8%e2%80%a9%e2%80%ae",
        b"/%ff%fe%ed%a0%80",
        b'/"%20status=200%20x="',
        b"/" + b"a" * 30_000,
    ],
    ids=["new line", "terminal", "unicode", "no unicode", "quotes", "huge"],
)
def test_a_hostile_path_is_one_short_log_line_of_visible_characters(raw, client, caplog, path):
    with caplog.at_level(logging.INFO, "app"):
        status, _, _ = raw(b"GET " + path + b"?sesame HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        record = line_of(caplog, "unknown")
    assert (status, record.facts["status"]) == (404, 404)
    for formatter in (TextFormatter(), JSONFormatter()):
        line = formatter.format(record)
        assert re.fullmatch(r"[\x20-\x7e]{1,2000}", line)
        assert "sesame" not in line
    assert " status=200" not in re.sub(r'"(\\.|[^"\\])*"', "", TextFormatter().format(record))  # outside of quotes


def value(client, series: str) -> float:
    """Returns the current value of a series, or 0 if it does not exist."""
    found = re.search(rf"^{re.escape(series)} (.+)$", client.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(
    ("send", "labels"),
    [
        (lambda client: client.get("/info"), ("/info", "GET", 200)),
        (lambda client: client.delete("/info"), ("/info", "DELETE", 405)),
        (lambda client: client.get("/nowhere"), ("unknown", "GET", 404)),
        (lambda client: client.post("/classify", content=b"x" * 101), ("/classify", "POST", 413)),
        (lambda client: client.post("/nowhere", content=b"x" * 101), ("unknown", "POST", 413)),
        (lambda client: client.request("PROPFIND", "/info"), ("/info", "other", 405)),
    ],
)
def test_every_response_is_counted_with_its_route(running, send, labels):
    route, method, status = labels
    with running(max_body_bytes=100) as client:
        send(client)
        series = f'siglip_http_requests_total{{method="{method}",route="{route}",status="{status}"}}'
        assert value(client, series) == 1
        series = f'siglip_http_request_duration_seconds_count{{method="{method}",route="{route}"}}'
        assert value(client, series) == 1


def test_refused_work_is_counted_by_reason_and_refused_probes_are_not(running):
    with running(max_body_bytes=100) as client:
        client.post("/classify", content=b"x" * 101)
        client.post("/classify", content=b"x")  # a wrong content type is the client's error, not refused work
        client.post("/health", content=b"x" * 101)
        assert value(client, 'siglip_rejected_total{reason="body_too_large"}') == 1
        assert value(client, 'siglip_rejected_total{reason="other"}') == 0


def test_a_client_that_disconnects_is_counted_and_logged(running, caplog):
    with caplog.at_level(logging.INFO, "app"), running() as client:
        with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as connection:
            connection.sendall(b"POST /classify?labels=a HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n")
            connection.sendall(b"Content-Length: 100\r\n\r\nten bytes.")
        while not value(client, 'siglip_rejected_total{reason="departed"}'):
            pass
        assert value(client, 'siglip_http_requests_total{method="POST",route="/classify",status="499"}') == 1
    line = line_of(caplog, "/classify").facts
    assert (line["status"], line["error_type"], line["request_bytes"]) == (499, "departed", 10)


def test_an_image_that_cannot_be_decoded_is_counted(running):
    with running() as client:
        client.post("/classify?labels=a", content=b"no image", headers={"Content-Type": "image/png"})
        assert value(client, 'siglip_image_decode_failures_total{reason="unsupported_media_type"}') == 1


def test_paths_that_do_not_exist_add_no_series(client):
    def series() -> int:
        return len(client.get("/metrics").text.splitlines())

    client.get("/first"), series()
    before = series()
    for number in range(200):
        client.get(f"/nowhere/{number}", headers={"X-Request-Id": f"id-{number}"})
    assert series() == before


@pytest.fixture(scope="module")
def template() -> Callable[[str, str], str]:
    """Returns a function from method and path to the route's template, for an app with parameters and prefixes."""

    async def endpoint() -> None: ...

    inner = APIRouter(prefix="/inner")
    inner.get("/{name}")(endpoint)
    router = APIRouter(prefix="/sets")
    router.get("/special")(endpoint)
    router.put("/{name}")(endpoint)
    router.include_router(inner)
    app = FastAPI()
    app.include_router(router)
    return lambda method, path: route_template({"type": "http", "app": app, "method": method, "path": path})


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("PUT", "/sets/cats", "/sets/{name}"),
        ("DELETE", "/sets/cats", "/sets/{name}"),  # 405
        ("GET", "/sets/special", "/sets/special"),
        ("PUT", "/sets/special", "/sets/{name}"),
        ("GET", "/sets/inner/cats", "/sets/inner/{name}"),
        ("GET", "/sets/cats/more", "unknown"),
        ("GET", "/openapi.json", "/openapi.json"),
        ("GET", "/sets", "unknown"),
        ("GET", "", "unknown"),
    ],
)
def test_the_template_of_a_route_is_found(template, method, path, expected):
    assert template(method, path) == expected
