"""Gives each request an id, and reports it in a log line, metrics and a trace. Pure ASGI; the outermost layer.

Any exception that reaches it becomes a 500, so every response has an id and every request a log line. What is reported
has sizes and counts, never labels, image bytes, headers or a query.
"""

import logging
import re
import time
import uuid

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError
from app.http.problems import error_response
from app.observability.metrics import DEPARTED, OTHER, REFUSALS, Metrics
from app.observability.record import RequestRecord
from app.observability.tracing import Tracing

REQUEST_ID = re.compile(r"[A-Za-z0-9._=;-]{1,128}")
CLIENT_CLOSED = 499  # the client disconnected before the response
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "unknown"
# Requested by machines every few seconds: they are not counted as rejected work, and not traced.
PROBES = re.compile(r"/metrics|/ping|(/v2)?/health(/.*)?|/v2/models/.*/ready")
MAX_CHARACTERS = 200  # of the path or the method in a log line

log = logging.getLogger("app")


class Telemetry:
    """ASGI middleware that reports requests and answers unhandled exceptions.

    Later layers find the request's `RequestRecord` in `scope["state"]["record"]` and add to it.

    Args:
        app: The next app.
        metrics: Where requests are counted.
        tracing: Where traces go, or None.
        probe: One more path that is a probe, or None.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, tracing: Tracing | None, probe: str | None = None) -> None:
        self.app = app
        self.probe = probe
        self.metrics = metrics
        self.tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_s = time.perf_counter()
        record = RequestRecord(choose_request_id(Headers(scope=scope)))
        scope.setdefault("state", {})["record"] = record
        timings_s = record.timings_s
        status = request_bytes = response_bytes = 0
        received_s = 0.0

        async def counted_receive() -> Message:
            nonlocal request_bytes, received_s
            message = await receive()
            if message["type"] == "http.request":
                request_bytes += len(message.get("body", b""))
                received_s = time.perf_counter() - started_s
            return message

        async def send_with_headers(message: Message) -> None:
            nonlocal status, response_bytes
            if message["type"] == "http.response.start":
                status = message["status"]
                timings_s["total"] = time.perf_counter() - started_s
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = record.request_id
                headers["Server-Timing"] = ", ".join(
                    f"{name};dur={seconds * 1000:.1f}" for name, seconds in timings_s.items()
                )
            response_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted_receive, send_with_headers)
        except ClientDisconnect:
            record.facts["error_type"] = DEPARTED
        except Exception:
            log.exception("the request failed", extra={"facts": {"request_id": record.request_id}})
            response = error_response(InternalError(), scope)
            if not status:
                await response(scope, receive, send_with_headers)
        finally:
            # Not in the Server-Timing header, which was sent before: the time until the last byte of the response, and
            # the time until the last byte of the body.
            timings_s["total"] = time.perf_counter() - started_s
            if request_bytes:
                timings_s["receive"] = received_s
            sizes = {"request_bytes": request_bytes, "response_bytes": response_bytes}
            record.facts = {"status": status or CLIENT_CLOSED} | sizes | record.facts
            self.report(scope, record)

    def report(self, scope: Scope, record: RequestRecord) -> None:
        """Counts, traces and logs a request that has ended."""
        facts, route, method = record.facts, route_template(scope), scope["method"]
        total_s = record.timings_s["total"]
        self.metrics.request(route, method if method in METHODS else OTHER, facts["status"], total_s)
        line = {"request_id": record.request_id, "route": route}
        line |= {"method": method[:MAX_CHARACTERS], "path": scope["path"][:MAX_CHARACTERS]} | facts
        if route != self.probe and not PROBES.fullmatch(route):
            reason = facts.get("error_type")
            if reason in REFUSALS or reason == DEPARTED:
                self.metrics.rejections.labels(reason).inc()
            if self.tracing:
                line["trace_id"] = self.tracing.record(line, record.timings_s, Headers(scope=scope))
        timings_ms = {f"{name}_ms": round(seconds * 1000, 1) for name, seconds in record.timings_s.items()}
        log.info("request", extra={"facts": line | timings_ms})


def choose_request_id(headers: Headers) -> str:
    """Returns the caller's `X-Request-Id` if it is valid, else its `X-Amzn-Trace-Id`, else a new id."""
    for name in ("x-request-id", "x-amzn-trace-id"):
        if REQUEST_ID.fullmatch(headers.get(name, "")):
            return headers[name]
    return uuid.uuid4().hex


def route_template(scope: Scope) -> str:
    """Returns the path of a request's route, with the names of its parameters, or `unknown`.

    It matches the routes itself: `scope["route"]` is missing for requests that were answered before routing.
    """
    template = UNKNOWN
    for route in iter_route_contexts(scope["app"].routes):
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route.path or UNKNOWN
        if match is Match.PARTIAL and template == UNKNOWN:  # the path exists, for another method
            template = route.path or UNKNOWN
    return template
