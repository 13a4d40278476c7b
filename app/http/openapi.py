"""What the OpenAPI document says beyond the routes: API keys, and the headers of every request and response.

Keys are not FastAPI's security dependencies: the authentication middleware checks them before routing, and the
dependencies would cost each request 21 microseconds more of the event loop (31 to 52, measured on two cores).
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from app.http.authentication import is_public
from app.http.deadline import HEADER

METHODS = ("get", "put", "post", "patch", "delete")
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
HEADERS = {
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": "The request's own if it is valid, else a new one.",
    },
    "Server-Timing": {"schema": {"type": "string"}, "description": "The time of each stage, in milliseconds."},
}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until there may be room."}}
DEADLINE = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "description": "Milliseconds after which the request is cancelled.",
}


def completed(
    routes_document: Callable[[], dict[str, Any]], *, needs_key: bool, public_paths: Sequence[str]
) -> Callable[[], dict[str, Any]]:
    """Returns a function that returns the complete document, made once, from the one of the routes."""

    @cache
    def document() -> dict[str, Any]:
        whole = routes_document()
        complete(whole, needs_key=needs_key, public_paths=public_paths)
        return whole

    return document


def complete(document: dict[str, Any], *, needs_key: bool, public_paths: Sequence[str]) -> None:
    """Adds to a document what the routes do not say."""
    if needs_key:
        document["components"]["securitySchemes"] = KEYS
    for path, operations in document["paths"].items():
        for method in operations.keys() & METHODS:
            operation = operations[method]
            if needs_key and not is_public(method.upper(), path, public_paths):
                operation["security"] = [{name: []} for name in KEYS]
            if "requestBody" in operation:
                operation.setdefault("parameters", []).append(DEADLINE)
            responses = operation["responses"]
            if "application/json" in responses.get("422", {}).get("content", {}):
                del responses["422"]  # the framework's own, which is never sent
            for status, response in responses.items():
                response["headers"] = HEADERS | (RETRY_AFTER if status == "429" else {})
