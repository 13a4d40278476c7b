"""Errors as HTTP responses: problems by RFC 9457, and what OpenAPI says about them.

The paths of `app.http.openai_errors` have errors in another shape.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app import errors
from app.errors import ServiceError
from app.http.openai_errors import is_openai_path, openai_error
from app.observability.record import RequestRecord
from app.schemas import REQUEST_ID
from app.settings import Settings

MEDIA_TYPE = "application/problem+json"
HOW = "Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`."
# One of each kind, for OpenAPI.
EXAMPLES: Mapping[type[ServiceError], ServiceError] = {
    type(error): error
    for error in (
        errors.InvalidRequest.at("", "unknown field; did you mean labels?"),
        errors.Unauthorized(f"This API key is not valid. {HOW}"),
        errors.Forbidden(f"Label sets are only changed with an admin key. {HOW}"),
        errors.NotFound("There is nothing at this path. GET /docs lists all paths."),
        errors.LabelSetNotFound(),
        errors.ModelNotFound.at("/model", "This service has one model. Send SigLIPBaseP16/google_224 as its name"),
        errors.MethodNotAllowed("This path accepts POST."),
        errors.BodyTimeout("The body did not arrive within 30 s."),
        errors.OtherEncoder(),
        errors.LabelSetsReadOnly("The replicas of this service do not share label sets. Set SIGLIP_STORE."),
        errors.PreconditionFailed("The label set is not the one that If-Match names. Read it again."),
        errors.BodyTooLarge("The body is larger than the 20,000,000 bytes that this service accepts."),
        errors.ImageTooLarge(
            "The image has 30000 x 30000 pixels. At most 50,000,000 pixels are accepted, and 32,768 per side."
        ),
        errors.UnsupportedMediaType("A compressed body is not accepted. Send it without Content-Encoding."),
        errors.InvalidImage.at("/image", "The JPEG is truncated"),
        errors.ImageTooExpensive.at("/image", "Decoding the image takes more than 20 s of CPU time."),
        errors.DecoderFailed.at("/image", "The decoder crashes on this image. Save it again, as a PNG or JPEG."),
        errors.InvalidLabels.at("/labels/1", "Label 2 has 0 characters; it must have 1 to 256"),
        errors.InvalidTemplate.at("/templates/0", "Template 1 must contain {} for the label, at most 4 times"),
        errors.Overloaded(2),
        errors.InternalError(),
        errors.NotReady("The model is not ready: downloading 37 %."),
        errors.Draining("The service is shutting down."),
        errors.StoreUnavailable(),
        errors.DeadlineExceeded("There was no response within 60 s. The request was cancelled."),
    )
}


def error_response(error: ServiceError, scope: Scope) -> JSONResponse:
    """Returns the response for an error, and notes it in the request's record."""
    record: RequestRecord = scope["state"]["record"]
    record.facts["error_type"] = error.code
    settings: Settings = scope["app"].state.settings
    if is_openai_path(scope["path"], (settings.aip_predict_route, settings.aip_health_route)):
        return JSONResponse(openai_error(error), error.status, headers=error.headers)
    return JSONResponse(error.problem(record.request_id), error.status, headers=error.headers, media_type=MEDIA_TYPE)


async def send_error(error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the response for an error that a middleware raised."""
    await error_response(error, scope)(scope, receive, send)


def install(app: FastAPI) -> None:
    """Makes the app answer `ServiceError`, and the framework's own 400, 404 and 405."""

    async def on_service_error(request: Request, error: ServiceError) -> JSONResponse:
        return error_response(error, request.scope)

    async def on_http_exception(request: Request, error: HTTPException) -> JSONResponse:
        return await on_service_error(request, from_http_exception(error))

    app.exception_handler(ServiceError)(on_service_error)
    app.exception_handler(HTTPException)(on_http_exception)


def from_http_exception(error: HTTPException) -> ServiceError:
    """Returns our error for one that the framework raised, for example in its router."""
    if error.status_code == 404:
        return errors.NotFound("There is nothing at this path. GET /docs lists all paths.")
    if error.status_code == 405:
        allowed = (error.headers or {})["Allow"].split(", ")
        allowed += ["HEAD"] if "GET" in allowed and "HEAD" not in allowed else []  # `app.http.root_path` answers it
        listed = ", ".join(allowed)
        return errors.MethodNotAllowed(f"This path accepts {listed}.", headers={"Allow": listed})
    return errors.InvalidRequest(str(error.detail))


def problem_responses(*failures: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI responses for the errors of a path; errors with one status share a response."""
    responses: dict[int | str, dict[str, Any]] = {}
    for failure in failures:
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}
        response = responses.setdefault(failure.status, {"description": "", "content": content})
        response["description"] += f" `{failure.code}`: {failure.title}."
        response["content"][MEDIA_TYPE]["examples"][failure.code] = {"value": EXAMPLES[failure].problem(REQUEST_ID)}
    return responses
