"""Errors in OpenAI's shape, on the paths that its clients call: `{"error": {"message", "type", "param", "code"}}`."""

import re
from collections.abc import Collection
from typing import Any

from app.errors import ServiceError

PATHS = ("/v1/embeddings", "/v1/models")
INVALID_REQUEST, SERVER = "invalid_request_error", "server_error"
TYPES = {401: "authentication_error", 429: "rate_limit_error"}


def is_openai_path(path: str, others: Collection[str | None] = ()) -> bool:
    """Returns whether errors on a path have OpenAI's shape.

    Args:
        path: The path of a request, without the prefix of a proxy.
        others: Paths of other APIs, which settings may have put below OpenAI's.
    """
    return path not in others and any(path == ours or path.startswith(f"{ours}/") for ours in PATHS)


def openai_error(error: ServiceError) -> dict[str, Any]:
    """Returns the body for an error. Its `code` is the `error_type` of other paths."""
    kind = SERVER if error.status >= 500 else TYPES.get(error.status, INVALID_REQUEST)
    param = param_of(error.faults[0].pointer) if error.faults else None
    return {"error": {"message": error.detail, "type": kind, "param": param, "code": error.code}}


def param_of(pointer: str) -> str | None:
    """Returns a JSON pointer as OpenAI names parameters.

    | pointer                    | param                    |
    |----------------------------|--------------------------|
    | `/input/1/image_url/url`   | `input[1].image_url.url` |
    |                            | None                     |
    """
    dotted = pointer.removeprefix("/").replace("/", ".")
    return re.sub(r"\.(\d+)", r"[\1]", dotted) or None
