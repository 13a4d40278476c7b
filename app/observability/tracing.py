"""Traces by OpenTelemetry, where its standard `OTEL_*` variables ask for them; else nothing of it is imported.

A request is told of when it is over, by the facts of its log line: there is no middleware that would see headers, a
query or a body, and none that could fail a request. Alone imports `opentelemetry`.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from app import __version__
from app.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SWITCHES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
FLUSH_S = 3  # a process that was told to end has little time
# Stage -> those that end before it starts. Text is embedded beside the image.
STAGES: dict[str, tuple[str, ...]] = {
    "receive": (),
    "decode": ("receive",),
    "text": ("receive", "decode"),
    "queue": ("receive", "decode"),
    "image": ("receive", "decode", "queue"),
}


class Tracing:
    """Makes spans of requests.

    Args:
        provider: Where the spans go.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("siglip", __version__)

    def record(self, line: Mapping[str, Any], timings_s: Mapping[str, float], headers: Mapping[str, str]) -> str:
        """Returns the trace id of a request that has just ended, after making its spans.

        Args:
            line: The facts of its log line.
            timings_s: How long its stages took, and `total`.
            headers: Its headers, of which `traceparent` and `tracestate` are read.
        """
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        attributes = {
            "http.request.method": line["method"],
            "http.route": line["route"],
            "http.response.status_code": line["status"],
            "http.request.body.size": line["request_bytes"],
            "http.response.body.size": line["response_bytes"],
            "url.path": line["path"],
            "siglip.request_id": line["request_id"],
        }
        if "error_type" in line:
            attributes["error.type"] = line["error_type"]
        start_ns = time.time_ns() - nanoseconds(timings_s["total"])
        span = self._tracer.start_span(
            f"{line['method']} {line['route']}",
            TraceContextTextMapPropagator().extract(headers),
            SpanKind.SERVER,
            attributes,
            start_time=start_ns,
        )
        if line["status"] >= 500:
            span.set_status(StatusCode.ERROR)
        inside = set_span_in_context(span)
        for name, from_s, to_s in stages(timings_s):
            child = self._tracer.start_span(name, inside, start_time=start_ns + nanoseconds(from_s))
            child.end(start_ns + nanoseconds(to_s))
        span.end(start_ns + nanoseconds(timings_s["total"]))
        return f"{span.get_span_context().trace_id:032x}"

    def shutdown(self) -> None:
        """Sends what has not been sent yet, and ends; gives up on a collector that does not take it."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(FLUSH_S)


def start_tracing() -> Tracing | None:
    """Returns where traces go, by the standard variables, or None where none of them asks for traces.

    Raises:
        SettingsError: They are asked for, but cannot be had.
    """
    switch = next((name for name in SWITCHES if os.environ.get(name)), None)
    if switch is None or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), HTTP)
    if protocol != HTTP:
        raise SettingsError(f"traces go over {HTTP} alone, to port 4318 as a rule. Received: {protocol!r}")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise SettingsError(f"{switch} is set, but traces need: pip install -r requirements-otel.txt") from None
    named = {"service.name": "siglip", "service.version": __version__} | dict(
        OTELResourceDetector().detect().attributes
    )
    try:
        # The lifespan ends it: a process that a signal has ended runs no exit hook.
        provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise SettingsError(f"an OTEL_* variable cannot be used: {error}") from None
    return Tracing(provider)


def stages(timings_s: Mapping[str, float]) -> Iterator[tuple[str, float, float]]:
    """Yields each stage with its start and end, in seconds after the request's start.

    Stages tell how long they took, not when. They are laid out in the order in which they happen; the small gaps
    between them, in which a form is parsed or a thread is waited for, are all at the end.
    """
    for name in (name for name in STAGES if name in timings_s):
        start_s = sum((timings_s.get(earlier, 0.0) for earlier in STAGES[name]), 0.0)
        yield name, min(start_s, timings_s["total"]), min(start_s + timings_s[name], timings_s["total"])


def nanoseconds(seconds: float) -> int:
    """Returns the unit in which OpenTelemetry counts."""
    return round(seconds * 1e9)
