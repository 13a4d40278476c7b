"""The traces that a running service sends to an OTLP receiver."""

import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.observability.tracing import stages, start_tracing
from app.settings import SettingsError
from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """The bodies that the receiver got, and the spans in them."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def requests(self) -> list[Span]:
        """Returns the spans of requests, without those of their stages."""
        return [span for span in self.spans() if span.kind == Span.SPAN_KIND_SERVER]

    def resource(self) -> dict[str, str]:
        attributes = ExportTraceServiceRequest.FromString(self.bodies[0]).resource_spans[0].resource.attributes
        return {item.key: item.value.string_value for item in attributes}


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    """Runs a collector. Yields it and its address."""
    collector = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def fail() -> None:
    raise ValueError("the device is broken")


@pytest.fixture
def collector(monkeypatch) -> Iterator[Collector]:
    """A collector whose address is in the environment."""
    with collecting() as (collector, address):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        yield collector


def attributes(span: Span) -> dict[str, object]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes}


def test_a_request_is_a_span_in_the_callers_trace_with_a_child_span_for_each_stage(running, collector, caplog):
    image = encoded(plain_image())
    headers = {"Content-Type": "image/png", "traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "X-Request-Id": "mine"}
    with caplog.at_level(logging.INFO, "app"), running(tracing=start_tracing()) as client:
        response = client.post("/classify?labels=a", content=image, headers=headers)
    (request,) = collector.requests()
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert request.name == "POST /classify"
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/classify",
        "http.response.status_code": 200,
        "http.request.body.size": len(image),
        "http.response.body.size": len(response.content),
        "url.path": "/classify",
        "siglip.request_id": "mine",
    }
    children = [span for span in collector.spans() if span.parent_span_id == request.span_id]
    assert {span.name for span in children} == {"receive", "decode", "queue", "image", "text"}
    for span in children:
        assert span.trace_id == request.trace_id
        assert request.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano
    (line,) = [record.facts for record in caplog.records if "trace_id" in getattr(record, "facts", {})]
    assert (line["trace_id"], line["request_id"]) == (TRACE_ID, "mine")


def test_spans_contain_no_query_headers_or_body(running, collector, monkeypatch):
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")  # FastAPI's spans would contain the query
    headers = {"X-API-Key": "sesame", "User-Agent": "sesame", "Referer": "sesame", "Cookie": "sesame=sesame"}
    headers |= {"Authorization": "Bearer sesame", "baggage": "secret=sesame", "Content-Type": "image/png"}
    with running(tracing=start_tracing()) as client:
        client.post("/classify?labels=sesame", content=encoded(plain_image()), headers=headers)
        client.post("/classify", data={"labels": "sesame"}, files={"image": b"sesame"})
        client.get("/nowhere?sesame", headers=headers)
    assert [span.name for span in collector.requests()] == ["POST /classify", "POST /classify", "GET unknown"]
    assert [body for body in collector.bodies if b"sesame" in body] == []


def test_a_refused_request_is_a_span_with_its_error_type(running, collector):
    with running(tracing=start_tracing(), max_body_bytes=100) as client:
        client.post("/classify", content=b"x" * 101)
    (request,) = collector.requests()
    assert attributes(request)["error.type"] == "body_too_large"
    assert request.status.code == Status.STATUS_CODE_UNSET  # a client's error is not an error of the service


def test_an_error_of_the_service_is_an_error_of_the_span(running, collector):
    with running(FakeEncoder(before_batch=fail), tracing=start_tracing()) as client:
        client.post("/classify?labels=a", content=encoded(plain_image()), headers={"Content-Type": "image/png"})
    (request,) = collector.requests()
    assert attributes(request)["http.response.status_code"] == 500
    assert request.status.code == Status.STATUS_CODE_ERROR


def test_probes_and_scrapes_are_not_traced(running, collector):
    with running(tracing=start_tracing(), aip_health_route="/vertex") as client:
        for path in (
            "/health",
            "/health/live",
            "/health/ready",
            "/ping",
            "/v2/health/live",
            "/vertex",
            "/metrics",
            "/info",
        ):
            client.get(path)
    assert [span.name for span in collector.requests()] == ["GET /info"]


def test_a_trace_that_the_caller_does_not_sample_is_not_sent(running, collector):
    with running(tracing=start_tracing()) as client:
        client.get("/info", headers={"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"})
        client.get("/info", headers={"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"})
    assert len(collector.requests()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"traceparent: 00-sesame-\xff-01",
        b"traceparent: " + b"0" * 10_000,
        b"traceparent: 00-" + TRACE_ID.encode() + b"-" + PARENT_ID.encode() + b"-01\r\ntracestate: \xff\\x=,,=",
        b"User-Agent: \xff\\x",
    ],
    ids=["no trace", "huge", "state", "agent"],
)
def test_invalid_headers_do_not_fail_a_traced_request(running, collector, line):
    with running(tracing=start_tracing()) as client:
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=30) as connection:
            path = b"/%ff%ed%a0%80%00?%ff"
            connection.sendall(
                b"GET " + path + b" HTTP/1.1\r\nHost: \xff\\x\r\nConnection: close\r\n" + line + b"\r\n\r\n"
            )
            assert connection.recv(12) == b"HTTP/1.1 404"
    assert [span.name for span in collector.requests()] == ["GET unknown"]


def test_an_unreachable_collector_does_not_fail_requests(running, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    with running(tracing=start_tracing()) as client:
        assert client.get("/info").status_code == 200


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "siglip"),
        ({"OTEL_SERVICE_NAME": "cats"}, "cats"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=dogs,deployment.environment=test"}, "dogs"),
    ],
)
def test_the_service_name_is_siglip_unless_the_environment_sets_another(
    running, collector, monkeypatch, variables, expected
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with running(tracing=start_tracing()) as client:
        client.get("/info")
    assert collector.resource()["service.name"] == expected


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_without_the_variables_nothing_is_traced_and_the_sdk_is_not_imported(variables):
    check = """if True:
        import sys, app.main, app.__main__
        from app.observability.tracing import start_tracing
        assert start_tracing() is None
        assert not {"opentelemetry.sdk", "opentelemetry.exporter"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", check], check=True, env=os.environ | variables)


def test_missing_opentelemetry_packages_stop_the_start_with_one_line():
    # Python cannot import a module whose entry in sys.modules is None.
    check = """if True:
        import sys
        from app.cli.command_line import main
        sys.modules["opentelemetry.sdk"] = None
        sys.exit(main(["serve"]))
    """
    result = subprocess.run(
        [sys.executable, "-c", check],
        env=os.environ | {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces", "SIGLIP_PORT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert re.fullmatch(r"error: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT .*requirements-otel\.txt\n", result.stderr)


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "99999")],
)
def test_an_invalid_variable_stops_the_start(collector, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=r"must be http/protobuf|max_export_batch_size"):
        start_tracing()


def test_stages_are_in_order_and_inside_the_request():
    timings_s = {"receive": 1.0, "decode": 2.0, "queue": 3.0, "image": 4.0, "text": 5.0, "total": 11.0, "other": 1.0}
    assert {name: times for name, *times in stages(timings_s)} == {
        "receive": [0, 1],
        "decode": [1, 3],
        "text": [3, 8],
        "queue": [3, 6],
        "image": [6, 10],
    }
    assert list(stages({"text": 5.0, "total": 4.0})) == [("text", 0.0, 4.0)]
