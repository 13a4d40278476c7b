"""POST /v1/embeddings and GET /v1/models, for OpenAI's clients and the tools that are built on them.

Source: OpenAI's API reference; what the package openai 3.57 sends and reads.
"""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from app import errors
from app.errors import InvalidRequest, ModelNotFound, ServiceError
from app.http.bodies import json_body, parse_body
from app.http.openai_errors import openai_error
from app.http.problems import EXAMPLES
from app.inference.embedder import EmbeddedTexts
from app.inference.encoder import Processor
from app.inference.engine import Engine
from app.inference.identity import model_fingerprint
from app.inference.image_input import EmbeddedImage
from app.routes.openai_embeddings import MODEL_ID, EmbeddingList, EmbeddingsBody, embedded, input_warnings, usage
from app.routes.openai_inputs import Element, read_inputs
from app.routes.scoring import Scoring, remap_pointers, together
from app.schemas import example
from app.settings import Settings
from app.validation import validated

OWNER = "siglip"
TOO_LONG = "Input 2 must have 1 to 1,024 characters that are not all blank"
# Examples that point to a field of this API.
SHOWN: dict[type[ServiceError], ServiceError] = {
    errors.InvalidLabels: errors.InvalidLabels.at("/input/1", TOO_LONG),
    errors.InvalidImage: errors.InvalidImage.at("/input/0", "The image is truncated or damaged"),
}


class Model(BaseModel):
    """The loaded model. `created` is the time when the service started."""

    model_config = example({"id": MODEL_ID, "object": "model", "created": 1_790_000_000, "owned_by": OWNER})

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = OWNER


class ModelList(BaseModel):
    """The loaded model, as a list of one."""

    model_config = example(
        {
            "object": "list",
            "data": [{"id": MODEL_ID, "object": "model", "created": 1_790_000_000, "owned_by": OWNER}],
        }
    )

    object: Literal["list"] = "list"
    data: list[Model]


class ErrorFacts(BaseModel):
    """What is wrong, and where. `code` is the `error_type` of other paths."""

    message: str
    type: str
    param: str | None = None  # always sent; FastAPI removes null from examples
    code: str


class ErrorResponse(BaseModel):
    """An error in OpenAI's shape."""

    error: ErrorFacts


def error_responses(*failures: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Returns the OpenAPI responses for the errors of a path, as `problem_responses` does for the other shape."""
    responses: dict[int | str, dict[str, Any]] = {}
    for failure in failures:
        content: dict[str, Any] = {"application/json": {"examples": {}}}
        response = responses.setdefault(failure.status, {"model": ErrorResponse, "description": "", "content": content})
        response["description"] += f" `{failure.code}`: {failure.title}."
        shown = response["content"]["application/json"]["examples"]
        shown[failure.code] = {"value": openai_error(SHOWN.get(failure) or EXAMPLES[failure])}
    return responses


router = APIRouter(prefix="/v1")


def model_names(encoder: Processor) -> list[str]:
    """Returns the names of the loaded model; the first one is its id."""
    info = encoder.info
    return [f"{info.variant}/{info.weights}", info.variant, info.weights]


def check_model(encoder: Processor, name: str) -> None:
    """Raises `ModelNotFound` if another model is requested."""
    if name not in (known := model_names(encoder)):
        raise ModelNotFound.at("/model", f"This service has one model. Send {known[0]} as its name")


def loaded_model(request: Request) -> Model:
    """Returns the loaded model."""
    engine: Engine = request.app.state.engine
    return Model(id=model_names(engine.encoder)[0], created=request.app.state.started_s)


@router.get("/models", responses=error_responses(errors.Unauthorized, errors.NotReady))
async def models(request: Request) -> ModelList:
    """Returns the loaded model."""
    return ModelList(data=[loaded_model(request)])


@router.get("/models/{model:path}", responses=error_responses(errors.Unauthorized, ModelNotFound, errors.NotReady))
async def model(request: Request, model: str) -> Model:
    """Returns the loaded model, if this is one of its names."""
    engine: Engine = request.app.state.engine
    check_model(engine.encoder, model)
    return loaded_model(request)


@router.post(
    "/embeddings",
    response_model=EmbeddingList,
    responses=error_responses(*errors.BODY_ERRORS, ModelNotFound, errors.InvalidLabels, *errors.IMAGE_ERRORS),
    openapi_extra=json_body(EmbeddingsBody),
)
async def embeddings(request: Request) -> Response:
    """Returns the embeddings of texts and images, L2-normalised, in their order. No template is applied.

    One image that cannot be used fails the request. URLs are not fetched.
    """
    scoring = Scoring(request)
    settings: Settings = request.app.state.settings
    encoder = scoring.embedder.encoder

    def read(value: Any) -> tuple[EmbeddingsBody, list[Element]]:
        body = validated(EmbeddingsBody, value, strict=True)
        check_options(encoder, body)
        return body, read_inputs(body.input, settings.max_labels, settings.max_images)

    body, elements = await parse_body(request, read)
    files = [element for element in elements if element.is_image]
    places = {f"/images/{index}": file.place for index, file in enumerate(files)}
    with remap_pointers(places), scoring.engine.admission.permit(max(1, len(files))):
        texts, images = await together(
            embed_texts(scoring, [element.content for element in elements if not element.is_image]),
            embed_images(scoring, [file.content for file in files], body.frame),
        )

    def content() -> str:
        return EmbeddingList(
            data=list(embedded(elements, texts, images, body.encoding_format or "float")),
            model=model_names(encoder)[0],
            usage=usage(texts),
            model_fingerprint=model_fingerprint(encoder.info, settings),
            warnings=input_warnings(encoder, elements, texts),
        ).model_dump_json()

    return Response(await scoring.engine.in_thread(content), media_type="application/json")


def check_options(encoder: Processor, body: EmbeddingsBody) -> None:
    """Raises a ServiceError if a request names another model, or chooses the number of dimensions."""
    if body.model is not None:
        check_model(encoder, body.model)
    if body.dimensions is not None:
        size = encoder.info.embed_dim
        message = f"dimensions cannot be chosen. Leave it out: embeddings of this model have {size:,} dimensions"
        raise InvalidRequest.at("/dimensions", message)


async def embed_texts(scoring: Scoring, texts: list[str]) -> EmbeddedTexts | None:
    """Returns the embeddings of texts, or None if there are no texts."""
    if not texts:
        return None
    found = await scoring.embedder.embed_texts(texts)
    scoring.record.facts.update(texts=len(texts), cache_hits=found.hits, cache_misses=found.misses)
    return found


async def embed_images(scoring: Scoring, files: list[str], frame: int) -> list[EmbeddedImage]:
    """Returns the embeddings of images.

    Raises:
        ServiceError: The error of the first image that cannot be used.
    """
    images = []
    for image in await scoring.embedder.embed_images(files, scoring.record, frame=frame):
        if isinstance(image, ServiceError):
            raise image
        images.append(image)
    if images:
        scoring.record.facts.update(images=len(images))
    return images
