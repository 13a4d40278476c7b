"""GET /ping and POST /invocations: what SageMaker asks of a container.

An invocation is a body of /classify, or Hugging Face's if it is JSON with `inputs`, and gets the answer of its kind.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from app import errors
from app.http.bodies import in_one_piece, media_type_of, read_json_value
from app.inference.engine import Engine
from app.routes import classify, health, hugging_face
from app.routes.hugging_face import HuggingFaceAnswer, HuggingFaceBody
from app.schemas import ClassifyBody, ClassifyResponse, problem_responses
from app.validation import validated

router = APIRouter()
router.add_api_route("/ping", health.ready, responses=problem_responses(errors.NotReady, errors.Draining))


def either_body() -> dict[str, Any]:
    """Returns what the contract says of an invocation's body."""
    extra = classify.ONE_IMAGE.openapi()
    schemas = [in_one_piece(ClassifyBody), in_one_piece(HuggingFaceBody)]
    extra["requestBody"]["content"]["application/json"]["schema"] = {"anyOf": schemas}
    return extra


@router.post(
    "/invocations",
    response_model=ClassifyResponse | HuggingFaceAnswer,
    responses=problem_responses(*classify.FAILURES, errors.ImageTooLarge, errors.InvalidImage),
    openapi_extra=either_body(),
)
async def invocations(request: Request) -> Response:
    """Scores each label against one image, asked as at `/classify` or, with `inputs`, as by Hugging Face's clients."""
    engine: Engine = request.app.state.engine
    _ = engine.encoder  # not ready is said before the body is read
    if media_type_of(request) == "application/json":
        value = await read_json_value(request)
        if isinstance(value, dict) and "inputs" in value:
            body = await engine.in_thread(validated, HuggingFaceBody, value, strict=True)
            return await hugging_face.answer(request, body)
    return await classify.classify(request)
