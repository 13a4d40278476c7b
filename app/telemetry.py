"""What the operator and the client learn about a request: its id, its timings, and one log line. Pure ASGI.

The outermost room: whatever is raised behind it becomes an answer here, so that every answer has an id and every
request a line. A line has sizes and counts, never labels or image bytes.
"""

import json
import logging
import re
import time
import uuid
from typing import Any, Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError, error_response

REQUEST_ID = re.compile(r"[A-Za-z0-9._=;-]{1,128}")
CLIENT_CLOSED = 499  # no answer was sent: the client had gone

log = logging.getLogger("app")


class Telemetry:
    """ASGI middleware that gives each request an id, times it, logs it, and answers what nobody else has.

    Rooms behind it find in `scope["state"]`: `request_id`; `timings_s`, to which they add what `Server-Timing` shows;
    and `facts`, to which they add what the log line shows.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started_s = time.perf_counter()
        request_id = choose_request_id(Headers(scope=scope))
        timings_s: dict[str, float] = {}
        facts: dict[str, Any] = {}
        scope.setdefault("state", {}).update(request_id=request_id, timings_s=timings_s, facts=facts)
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                timings_s["total"] = time.perf_counter() - started_s
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                headers["Server-Timing"] = ", ".join(
                    f"{name};dur={seconds * 1000:.1f}" for name, seconds in timings_s.items()
                )
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except ClientDisconnect:
            pass
        except Exception:
            facts["error_type"] = InternalError.code
            log.exception("the request has failed inside the service", extra={"facts": {"request_id": request_id}})
            if not status:
                await error_response(InternalError(), request_id)(scope, receive, send_with_headers)
        finally:
            timings_ms = {f"{name}_ms": round(seconds * 1000, 1) for name, seconds in timings_s.items()}
            line = {"request_id": request_id, "method": scope["method"], "path": scope["path"][:200]}
            line |= {"status": status or CLIENT_CLOSED} | facts | timings_ms
            log.info("request", extra={"facts": line})


def choose_request_id(headers: Headers) -> str:
    """Returns the caller's `X-Request-Id` if it is valid, else its `X-Amzn-Trace-Id`, else a new one."""
    for name in ("x-request-id", "x-amzn-trace-id"):
        if REQUEST_ID.fullmatch(headers.get(name, "")):
            return headers[name]
    return uuid.uuid4().hex


class TextFormatter(logging.Formatter):
    """One line for people: the message, then the facts. Strings are quoted as JSON, so none can start a new line."""

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        shown = " ".join(f"{name}={json.dumps(value)}" for name, value in facts.items())
        return f"{super().format(record)} {shown}".rstrip()


class JSONFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": self.formatTime(record), "level": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logging(log_format: Literal["text", "json"] | None) -> None:
    """Sends all of the process's log lines to standard error: None is text on a terminal, else JSON."""
    output = logging.StreamHandler()
    as_text = log_format == "text" or (log_format is None and output.stream.isatty())
    output.setFormatter(TextFormatter("%(asctime)s %(levelname)s %(message)s") if as_text else JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[output], force=True)
    # The hub's client logs every request at INFO, with the signed addresses of its storage.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
