"""What the OpenAPI document says beyond what the routes themselves do: keys, the headers of all, and examples."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from app.http.body_limits import is_public
from app.http.deadline import HEADER
from app.http.examples import EXAMPLES, FILE, Example

METHODS = ("get", "put", "post", "delete")
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
HEADERS = {
    "X-Request-Id": {"schema": {"type": "string"}, "description": "The caller's, if it sent a valid one, else new."},
    "Server-Timing": {"schema": {"type": "string"}, "description": "Where the time went, in milliseconds."},
}
RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until there may be room."}}
DEADLINE = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "description": "Milliseconds after which the answer is of no use; nothing is computed for it any more then.",
}


def completed(
    of_routes: Callable[[], dict[str, Any]], *, needs_key: bool, public_paths: Sequence[str]
) -> Callable[[], dict[str, Any]]:
    """Returns what gives the whole document, made once, in place of what gives the routes' own."""

    @cache
    def document() -> dict[str, Any]:
        whole = of_routes()
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
            add_headers(operation["responses"])
            add_examples(operation, EXAMPLES.get((method, path), Example()))


def add_headers(responses: dict[str, Any]) -> None:
    """Adds the headers of every answer; and drops the framework's own 422, which is never sent."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
    for status, response in responses.items():
        response["headers"] = HEADERS | (RETRY_AFTER if status == "429" else {})


def add_examples(operation: dict[str, Any], example: Example) -> None:
    """Adds an example to each body of a request, and to each answer that is none of a failure, where there is none."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if media_type == "application/json":
            content.setdefault("example", example.request)
        elif media_type == "multipart/form-data":
            content["example"] = with_files(example.request)
    for status in ("200", "201"):
        for content in operation["responses"].get(status, {}).get("content", {}).values():
            if content["schema"].get("format") != "binary":
                content.setdefault("example", example.answer)


def with_files(request: dict[str, Any]) -> dict[str, Any]:
    """Returns a request as a form has it: with files in place of their base64."""
    files = {"image": FILE, "images": [FILE, FILE]}
    return {name: files.get(name, value) for name, value in request.items()}
