"""What the OpenAPI document says beyond the routes: API keys, headers of every request and response, fields of forms.

Keys are not FastAPI's security dependencies: the authentication middleware checks them before routing, and the
dependencies would cost each request 21 microseconds more of the event loop (31 to 52, measured on two cores).
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from app.http.authentication import changes_label_sets, is_public
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
    routes_document: Callable[[], dict[str, Any]],
    *,
    needs_key: bool,
    needs_admin_key: bool = False,
    public_paths: Sequence[str],
) -> Callable[[], dict[str, Any]]:
    """Returns a function that returns the complete document, made once, from the one of the routes."""

    @cache
    def document() -> dict[str, Any]:
        whole = routes_document()
        complete(whole, needs_key=needs_key, needs_admin_key=needs_admin_key, public_paths=public_paths)
        return whole

    return document


def complete(
    document: dict[str, Any], *, needs_key: bool, needs_admin_key: bool = False, public_paths: Sequence[str]
) -> None:
    """Adds to a document what the routes do not say."""
    if needs_key or needs_admin_key:
        document["components"]["securitySchemes"] = KEYS
    for path, operations in document["paths"].items():
        for method in operations.keys() & METHODS:
            operation = operations[method]
            is_protected = needs_key and not is_public(method.upper(), path, public_paths)
            if is_protected or (needs_admin_key and changes_label_sets(method.upper(), path)):
                operation["security"] = [{name: []} for name in KEYS]
            if "requestBody" in operation:
                operation.setdefault("parameters", []).append(DEADLINE)
            responses = operation["responses"]
            if "HTTPValidationError" in str(responses.get("422")):
                del responses["422"]  # the framework's own, which is never sent
            for status, response in responses.items():
                response["headers"] = response.get("headers", {}) | HEADERS | (RETRY_AFTER if status == "429" else {})


def form_content(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the description of a form, so that Swagger UI sends what a person means.

    It would join a list with commas unless `explode` says that the field is repeated, and send an invented value for an
    optional field that has neither an example nor a default.
    """
    properties = {name: form_field(field, schema["example"].get(name)) for name, field in schema["properties"].items()}
    encoding = {name: {"explode": True} for name, field in properties.items() if field.get("type") == "array"}
    return {"schema": schema | {"properties": properties}, "encoding": encoding}


def form_field(field: dict[str, Any], example: Any) -> dict[str, Any]:
    """Returns the schema of a field of a form. A form has no null: what is optional is left out, or empty."""
    if field.get("default", "") is not None:
        return field
    choices = [choice for choice in field.get("anyOf", [{}]) if choice.get("type") != "null"]
    given: dict[str, Any] = choices[0] if len(choices) == 1 else {"anyOf": choices}
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    whole = given | rest
    return whole | {"example": example or ([] if whole.get("type") == "array" else "")}


def without_default(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of an option of the query. Swagger UI would send its default with a form, too."""
    return {name: value for name, value in schema.items() if name != "default"}
