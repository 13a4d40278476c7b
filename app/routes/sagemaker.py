"""GET /ping and POST /invocations, for SageMaker.

An invocation is a body of /classify, or Hugging Face's if it is JSON with `inputs`, and gets the response of its kind.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from app import errors
from app.http.bodies import in_one_piece, media_type_of, read_json_value
from app.http.problems import problem_responses
from app.routes import classify, health, hugging_face
from app.routes.hugging_face import HuggingFaceBody, HuggingFaceResponse
from app.routes.scoring import Scoring
from app.schemas import ClassifyBody, ClassifyResponse
from app.validation import validated

router = APIRouter()
router.add_api_route("/ping", health.ready, responses=problem_responses(errors.NotReady, errors.Draining))


def either_body() -> dict[str, Any]:
    """Returns the `openapi_extra` of an invocation."""
    extra = classify.ONE_IMAGE.openapi()
    schemas = [in_one_piece(ClassifyBody), in_one_piece(HuggingFaceBody)]
    extra["requestBody"]["content"]["application/json"]["schema"] = {"anyOf": schemas}
    return extra


@router.post(
    "/invocations",
    response_model=ClassifyResponse | HuggingFaceResponse,
    responses=problem_responses(*classify.FAILURES, *errors.IMAGE_ERRORS),
    openapi_extra=either_body(),
)
async def invocations(request: Request) -> Response:
    """Scores each label for one image; the body is that of `/classify` or, with `inputs`, that of Hugging Face."""
    scoring = Scoring(request)
    if media_type_of(request) == "application/json":
        value = await read_json_value(request)
        if isinstance(value, dict) and "inputs" in value:
            body = await scoring.engine.in_thread(validated, HuggingFaceBody, value, strict=True)
            return await hugging_face.scored(scoring, body)
    return await classify.classify(request)
