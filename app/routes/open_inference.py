"""/v2: the Open Inference Protocol, as KServe's and Triton's clients speak it. The model's name is the variant."""

from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app import __version__, errors
from app.errors import InvalidRequest, NotFound, ServiceError
from app.http.bodies import in_one_piece, media_type_of, unaccepted
from app.inference.engine import Engine, together
from app.inference.image_input import EmbeddedImage
from app.labels import MAX_TEMPLATES
from app.routes import health
from app.routes.open_inference_tensors import HEADER, OUTPUTS, InferAnswer, InferBody, read_inference, write_answer
from app.routes.pictures import embed_image_files
from app.routes.scoring import Classes, check_count, embed_classes, remap_pointers
from app.schemas import problem_responses
from app.settings import Settings

VERSION = "1"
MEDIA_TYPES = ("application/json", "application/octet-stream")
INFER_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "schema": {"type": "integer", "minimum": 0},
            "description": "So many bytes of the body are JSON; binary data follows.",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": in_one_piece(InferBody)},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    },
}


class ServerFacts(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """What the probe answers when all is well."""

    live: Literal[True] = True


class ServerReady(ServerLive):
    """What the probe answers when all is well; the protocol's text has `live` here too."""

    ready: Literal[True] = True


class ModelReady(BaseModel):
    """What the probe answers when all is well."""

    name: str
    ready: Literal[True] = True


class TensorFacts(BaseModel):
    """An input or output; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelFacts(BaseModel):
    """What the model takes and gives. An input `templates`, BYTES, may be sent too."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorFacts]
    outputs: list[TensorFacts]


async def check_model(request: Request, model: str) -> None:
    """Raises `NotFound` unless this is the name of what is served."""
    engine: Engine = request.app.state.engine
    if model != (name := engine.encoder.info.variant):
        raise NotFound(f"There is no model of this name. The one that is served is {name}.")


async def check_version(version: str) -> None:
    """Raises `NotFound` unless this is the version of what is served."""
    if version != VERSION:
        raise NotFound(f"There is no version of this name. The one that is served is {VERSION}.")


router = APIRouter(prefix="/v2")
any_version = APIRouter(prefix="/models/{model}", dependencies=[Depends(check_model)])
one_version = APIRouter(
    prefix="/models/{model}/versions/{version}", dependencies=[Depends(check_model), Depends(check_version)]
)
PROBE: dict[str, Any] = {"responses": problem_responses(errors.NotReady, errors.Draining)}
OF_A_MODEL: dict[str, Any] = {"responses": problem_responses(errors.NotFound, errors.NotReady, errors.Draining)}


@router.get("")
async def server_facts() -> ServerFacts:
    """Answers what the server is, and that tensors may be sent as bytes."""
    return ServerFacts(name="siglip", version=__version__, extensions=["binary_tensor_data"])


@router.get("/health/live", **PROBE)
async def server_live(request: Request) -> ServerLive:
    """Answers 200 while a restart would not help."""
    await health.live(request)
    return ServerLive()


@router.get("/health/ready", **PROBE)
async def server_ready(request: Request) -> ServerReady:
    """Answers 200 while requests may come."""
    await health.ready(request)
    return ServerReady()


@any_version.get("", **OF_A_MODEL)
@one_version.get("", **OF_A_MODEL)
async def model_facts(model: str) -> ModelFacts:
    """Answers the tensors that the model takes and gives."""
    return ModelFacts(
        name=model,
        versions=[VERSION],
        platform="keras",
        inputs=[TensorFacts(name=name, datatype="BYTES", shape=[-1]) for name in ("image", "labels")],
        outputs=[TensorFacts(name=name, datatype="FP32", shape=[-1, -1]) for name in OUTPUTS],
    )


@any_version.get("/ready", **OF_A_MODEL)
@one_version.get("/ready", **OF_A_MODEL)
async def model_ready(request: Request, model: str) -> ModelReady:
    """Answers 200 while requests may come."""
    await health.ready(request)
    return ModelReady(name=model)


INFER: dict[str, Any] = {
    "response_model": InferAnswer,
    "responses": {
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **problem_responses(
            *errors.OF_A_BODY,
            errors.NotFound,
            errors.InvalidLabels,
            errors.InvalidTemplate,
            errors.ImageTooLarge,
            errors.InvalidImage,
        ),
    },
    "openapi_extra": INFER_BODY,
}


@any_version.post("/infer", **INFER)
@one_version.post("/infer", **INFER)
async def infer(request: Request, model: str) -> Response:
    """Scores each label against each image; one image that cannot be used fails the request.

    `image` holds files: their base64 in JSON, themselves as binary data. The outputs are [N, L], unsorted.
    """
    engine: Engine = request.app.state.engine
    if (media_type := media_type_of(request)) not in ("", *MEDIA_TYPES):  # Triton's client sends none
        raise unaccepted(media_type, " or ".join(MEDIA_TYPES))
    content = await request.body()
    settings: Settings = request.app.state.settings
    max_elements = max(settings.max_labels, settings.max_images, MAX_TEMPLATES)
    asked = await engine.in_thread(read_inference, content, header_bytes(request, len(content)), max_elements)
    check_count(request, len(asked.images), asked.pointer("image"))
    pointer = asked.pointer("image") + "/{}"
    with (
        remap_pointers({"/labels": asked.pointer("labels"), "/templates": asked.pointer("templates")}),
        engine.admission.permit(len(asked.images)),
    ):
        classes, pictures = await together(
            embed_classes(request, asked.options), embed_image_files(request, asked.images, pointer)
        )
        scores = await engine.in_thread(score_all, engine, pictures, classes)
        answer, json_bytes = await engine.in_thread(write_answer, asked.body, model, VERSION, scores)
    request.state.facts.update(images=len(pictures), labels=len(classes.labels))
    if json_bytes is None:
        return Response(answer, media_type="application/json")
    return Response(answer, headers={HEADER: str(json_bytes)}, media_type="application/octet-stream")


def header_bytes(request: Request, body_bytes: int) -> int:
    """Returns how many bytes of the body are JSON: what the header says, or all.

    Raises:
        InvalidRequest: The header is no number, or more than there is.
    """
    given = request.headers.get(HEADER, str(body_bytes))
    if not (given.isascii() and given.isdecimal() and len(given) <= 18 and int(given) <= body_bytes):
        raise InvalidRequest(f"{HEADER} must be the number of the body's bytes that are JSON.")
    return int(given)


def score_all(engine: Engine, pictures: list[EmbeddedImage | ServiceError], classes: Classes) -> dict[str, np.ndarray]:
    """Returns each output, [N, L] float32. For a thread.

    Raises:
        ServiceError: Of the first picture that cannot be used.
    """
    rows = []
    for picture in pictures:
        if isinstance(picture, ServiceError):
            raise picture
        rows.append(engine.classify(picture.row, classes.embeddings).scores)
    return {name: np.stack(values) for name, values in zip(OUTPUTS, zip(*rows, strict=True), strict=True)}


router.include_router(any_version)
router.include_router(one_version)
