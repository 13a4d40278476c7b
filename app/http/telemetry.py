"""What the operator and the client learn about a request: its id, its timings, one log line, its metrics, its trace.

Pure ASGI, and the outermost room: whatever is raised behind it becomes an answer here, so that every answer has an id
and every request a line. What is told has sizes and counts, never labels, image bytes, headers or a query.
"""

import logging
import re
import time
import uuid
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError, error_response
from app.observability.metrics import DEPARTED, OTHER, REFUSALS, Metrics
from app.observability.tracing import Tracing

REQUEST_ID = re.compile(r"[A-Za-z0-9._=;-]{1,128}")
CLIENT_CLOSED = 499  # no answer was sent: the client had gone
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "unknown"
# Routes of machines that ask every few seconds: no work is refused by them, and nobody wants their traces.
PROBES = re.compile(r"/metrics|/ping|(/v2)?/health(/.*)?|/v2/models/.*/ready")
MAX_CHARACTERS = 200  # of a client's path or method in a line

log = logging.getLogger("app")


class Telemetry:
    """ASGI middleware that gives each request an id, times it, tells of it, and answers what nobody else has.

    Rooms behind it find in `scope["state"]`: `request_id`; `timings_s`, to which they add what `Server-Timing` shows;
    and `facts`, to which they add what the log line shows.

    Args:
        app: The app behind it.
        metrics: Where answers are counted.
        tracing: Where traces go, if they do.
        probe: One more route that is a probe's, if there is one.
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
        request_id = choose_request_id(Headers(scope=scope))
        timings_s: dict[str, float] = {}
        facts: dict[str, Any] = {}
        scope.setdefault("state", {}).update(request_id=request_id, timings_s=timings_s, facts=facts)
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
                headers["X-Request-Id"] = request_id
                headers["Server-Timing"] = ", ".join(
                    f"{name};dur={seconds * 1000:.1f}" for name, seconds in timings_s.items()
                )
            response_bytes += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted_receive, send_with_headers)
        except ClientDisconnect:
            facts["error_type"] = DEPARTED
        except Exception:
            facts["error_type"] = InternalError.code
            log.exception("the request has failed inside the service", extra={"facts": {"request_id": request_id}})
            if not status:
                await error_response(InternalError(), request_id)(scope, receive, send_with_headers)
        finally:
            # Not in Server-Timing, which has gone out: the time to the last byte, and that of a body's way here.
            timings_s["total"] = time.perf_counter() - started_s
            if request_bytes:
                timings_s["receive"] = received_s
            sizes = {"request_bytes": request_bytes, "response_bytes": response_bytes}
            self._tell(scope, {"status": status or CLIENT_CLOSED} | sizes | facts, timings_s)

    def _tell(self, scope: Scope, facts: dict[str, Any], timings_s: dict[str, float]) -> None:
        """Counts a request that is over, traces it, and logs its line."""
        route, method = route_template(scope), scope["method"]
        self.metrics.request(route, method if method in METHODS else OTHER, facts["status"], timings_s["total"])
        line = {"request_id": scope["state"]["request_id"], "route": route}
        line |= {"method": method[:MAX_CHARACTERS], "path": scope["path"][:MAX_CHARACTERS]} | facts
        if route != self.probe and not PROBES.fullmatch(route):
            reason = facts.get("error_type")
            if reason in REFUSALS or reason == DEPARTED:
                self.metrics.rejected(reason)
            if self.tracing:
                line["trace_id"] = self.tracing.record(line, timings_s, Headers(scope=scope))
        timings_ms = {f"{name}_ms": round(seconds * 1000, 1) for name, seconds in timings_s.items()}
        log.info("request", extra={"facts": line | timings_ms})


def choose_request_id(headers: Headers) -> str:
    """Returns the caller's `X-Request-Id` if it is valid, else its `X-Amzn-Trace-Id`, else a new one."""
    for name in ("x-request-id", "x-amzn-trace-id"):
        if REQUEST_ID.fullmatch(headers.get(name, "")):
            return headers[name]
    return uuid.uuid4().hex


def route_template(scope: Scope) -> str:
    """Returns the path of the route that a request is for, with its parameters' names, or `unknown`.

    Asked of the routes and not of `scope["route"]`, which is missing where a request was answered before routing.
    """
    template = UNKNOWN
    for route in iter_route_contexts(scope["app"].routes):
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return route.path or UNKNOWN
        if match is Match.PARTIAL and template == UNKNOWN:  # the path, by another method
            template = route.path or UNKNOWN
    return template
