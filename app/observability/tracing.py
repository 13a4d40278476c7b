"""Exports traces with OpenTelemetry if its standard `OTEL_*` variables are set; otherwise does not import it.

A request's spans are made after it has ended, from the facts of its log line. So no tracing middleware sees headers,
queries or bodies, and tracing cannot make a request fail. The only file that imports `opentelemetry`.
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
FLUSH_S = 3  # a process has little time to shut down
# Stage -> the stages that end before it starts. The text is embedded at the same time as the image.
STAGES: dict[str, tuple[str, ...]] = {
    "receive": (),
    "decode": ("receive",),
    "text": ("receive", "decode"),
    "queue": ("receive", "decode"),
    "image": ("receive", "decode", "queue"),
}


class Tracing:
    """Makes the spans of requests.

    Args:
        provider: Exports the spans.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("siglip", __version__)

    def record(self, line: Mapping[str, Any], timings_s: Mapping[str, float], headers: Mapping[str, str]) -> str:
        """Makes the spans of a request that has just ended, and returns its trace id.

        Args:
            line: The facts of the request's log line.
            timings_s: The duration of each stage, and `total`.
            headers: The request's headers. Only `traceparent` and `tracestate` are read.
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
        """Sends the remaining spans and stops. Waits at most `FLUSH_S` seconds for the collector."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(FLUSH_S)


def start_tracing() -> Tracing | None:
    """Returns the tracing that the `OTEL_*` variables configure, or None if they name no endpoint.

    Raises:
        SettingsError: A variable has an invalid value, or OpenTelemetry is not installed.
    """
    switch = next((name for name in SWITCHES if os.environ.get(name)), None)
    if switch is None or os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    protocol = next((os.environ[name] for name in PROTOCOLS if os.environ.get(name)), HTTP)
    if protocol != HTTP:
        raise SettingsError(f"the OTLP protocol must be {HTTP}, usually on port 4318. Received: {protocol!r}")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:
        raise SettingsError(
            f"{switch} is set, but OpenTelemetry is missing: pip install -r requirements-otel.txt"
        ) from None
    named = {"service.name": "siglip", "service.version": __version__} | dict(
        OTELResourceDetector().detect().attributes
    )
    try:
        # The lifespan calls `shutdown`: exit hooks do not run if a signal ends the process.
        provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except ValueError as error:
        raise SettingsError(f"an OTEL_* variable is invalid: {error}") from None
    return Tracing(provider)


def stages(timings_s: Mapping[str, float]) -> Iterator[tuple[str, float, float]]:
    """Yields each stage with its start and end, in seconds after the request's start.

    Only the durations of stages are known, not when they started. So they are placed in the order in which they run.
    The small gaps between them, such as parsing a form or waiting for a thread, are all at the end.
    """
    for name in (name for name in STAGES if name in timings_s):
        start_s = sum((timings_s.get(earlier, 0.0) for earlier in STAGES[name]), 0.0)
        yield name, min(start_s, timings_s["total"]), min(start_s + timings_s[name], timings_s["total"])


def nanoseconds(seconds: float) -> int:
    """Returns whole nanoseconds, as OpenTelemetry expects."""
    return round(seconds * 1e9)
