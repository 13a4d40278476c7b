"""/v2: the Open Inference Protocol, for the clients of KServe and Triton. The model's name is the variant."""

from typing import Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from app import __version__, errors
from app.errors import InvalidRequest, NotFound, ServiceError
from app.http.bodies import in_one_piece, media_type_of, unaccepted
from app.http.problems import problem_responses
from app.inference.engine import Engine
from app.inference.image_input import EmbeddedImage
from app.labels import MAX_TEMPLATES
from app.routes import health
from app.routes.open_inference_tensors import HEADER, OUTPUTS, InferBody, InferResponse, read_inference, write_response
from app.routes.scoring import Classes, Scoring, remap_pointers, together
from app.schemas import example
from app.settings import Settings

VERSION = "1"
MEDIA_TYPES = ("application/json", "application/octet-stream")
INFER_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": HEADER,
            "in": "header",
            "schema": {"type": "integer", "minimum": 0},
            "description": "The number of the body's bytes that are JSON; binary data follows.",
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
    """The server and the protocol extensions that it supports."""

    model_config = example({"name": "siglip", "version": "0.1.0", "extensions": ["binary_tensor_data"]})

    name: str
    version: str
    extensions: list[str]


class ServerLive(BaseModel):
    """The response of the liveness check when it passes."""

    model_config = example({"live": True})

    live: Literal[True] = True


class ServerReady(ServerLive):
    """The response of the readiness check when it passes; the protocol has `live` here too."""

    model_config = example({"live": True, "ready": True})

    ready: Literal[True] = True


class ModelReady(BaseModel):
    """The response of the model's readiness check when it passes."""

    model_config = example({"name": "SigLIPBaseP16", "ready": True})

    name: str
    ready: Literal[True] = True


class TensorFacts(BaseModel):
    """An input or output; -1 is any number."""

    name: str
    datatype: str
    shape: list[int]


class ModelFacts(BaseModel):
    """The model's inputs and outputs. There is a third, optional input: `templates`, BYTES."""

    model_config = example(
        {
            "name": "SigLIPBaseP16",
            "versions": [VERSION],
            "platform": "keras",
            "inputs": [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("image", "labels")],
            "outputs": [{"name": name, "datatype": "FP32", "shape": [-1, -1]} for name in OUTPUTS],
        }
    )

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorFacts]
    outputs: list[TensorFacts]


async def check_model(request: Request, model: str) -> None:
    """Raises `NotFound` if another model is requested."""
    engine: Engine = request.app.state.engine
    if model != (name := engine.encoder.info.variant):
        raise NotFound(f"There is no model with this name. The served model is {name}.")


async def check_version(version: str) -> None:
    """Raises `NotFound` if another version is requested."""
    if version != VERSION:
        raise NotFound(f"There is no such version. The served version is {VERSION}.")


router = APIRouter(prefix="/v2")
any_version = APIRouter(prefix="/models/{model}", dependencies=[Depends(check_model)])
one_version = APIRouter(
    prefix="/models/{model}/versions/{version}", dependencies=[Depends(check_model), Depends(check_version)]
)
PROBE: dict[str, Any] = {"responses": problem_responses(errors.NotReady, errors.Draining)}
OF_A_MODEL: dict[str, Any] = {"responses": problem_responses(errors.NotFound, errors.NotReady, errors.Draining)}


@router.get("")
async def server_facts() -> ServerFacts:
    """Returns the server's name, and that tensors may be sent as bytes."""
    return ServerFacts(name="siglip", version=__version__, extensions=["binary_tensor_data"])


@router.get("/health/live", **PROBE)
async def server_live(request: Request) -> ServerLive:
    """Returns 200 unless a restart would help."""
    await health.live(request)
    return ServerLive()


@router.get("/health/ready", **PROBE)
async def server_ready(request: Request) -> ServerReady:
    """Returns 200 while requests are welcome."""
    await health.ready(request)
    return ServerReady()


@any_version.get("", **OF_A_MODEL)
@one_version.get("", **OF_A_MODEL)
async def model_facts(model: str) -> ModelFacts:
    """Returns the model's inputs and outputs."""
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
    """Returns 200 while requests are welcome."""
    await health.ready(request)
    return ModelReady(name=model)


INFER: dict[str, Any] = {
    "response_model": InferResponse,
    "responses": {
        200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
        **problem_responses(
            *errors.BODY_ERRORS,
            errors.NotFound,
            errors.InvalidLabels,
            errors.InvalidTemplate,
            *errors.IMAGE_ERRORS,
        ),
    },
    "openapi_extra": INFER_BODY,
}


@any_version.post("/infer", **INFER)
@one_version.post("/infer", **INFER)
async def infer(request: Request, model: str) -> Response:
    """Scores each label for each image. One image that cannot be used fails the request.

    `image` has files: base64 in JSON, or their bytes as binary data. The outputs are [N, L], unsorted.
    """
    scoring = Scoring(request)
    if (media_type := media_type_of(request)) not in ("", *MEDIA_TYPES):  # Triton's client sends none
        raise unaccepted(media_type, " or ".join(MEDIA_TYPES))
    body = await request.body()
    settings: Settings = request.app.state.settings
    max_elements = max(settings.max_labels, settings.max_images, MAX_TEMPLATES)
    in_thread = scoring.engine.in_thread
    inference = await in_thread(read_inference, body, header_bytes(request, len(body)), max_elements)
    scoring.check_count(len(inference.images), inference.pointer("image"))
    places = {"/labels": inference.pointer("labels"), "/templates": inference.pointer("templates")}
    with remap_pointers(places), scoring.engine.admission.permit(len(inference.images)):
        classes, images = await together(
            scoring.embed_classes(inference.options),
            scoring.embedder.embed_images(
                inference.images,
                scoring.record,
                frame=inference.options.frame,
                pointer=inference.pointer("image") + "/{}",
            ),
        )
        scores = await in_thread(score_all, scoring, images, classes)
        content, json_bytes = await in_thread(write_response, inference.body, model, VERSION, scores, classes.warnings)
    scoring.record.facts.update(images=len(images), labels=len(classes.labels))
    if json_bytes is None:
        return Response(content, media_type="application/json")
    return Response(content, headers={HEADER: str(json_bytes)}, media_type="application/octet-stream")


def header_bytes(request: Request, body_bytes: int) -> int:
    """Returns how many bytes of the body are JSON: what the header says, or all.

    Raises:
        InvalidRequest: The header is not a number, or larger than the body.
    """
    given = request.headers.get(HEADER, str(body_bytes))
    if not (given.isascii() and given.isdecimal() and len(given) <= 18 and int(given) <= body_bytes):
        raise InvalidRequest(f"{HEADER} must be the number of the body's bytes that are JSON.")
    return int(given)


def score_all(scoring: Scoring, images: list[EmbeddedImage | ServiceError], classes: Classes) -> dict[str, np.ndarray]:
    """Returns each output, [N, L] float32. Call it in a thread.

    Raises:
        ServiceError: The error of the first image that cannot be used.
    """
    rows = []
    for image in images:
        if isinstance(image, ServiceError):
            raise image
        rows.append(scoring.embedder.scores(image.row, classes.weights, classes.biases))
    return {name: np.stack(values) for name, values in zip(OUTPUTS, zip(*rows, strict=True), strict=True)}


router.include_router(any_version)
router.include_router(one_version)
