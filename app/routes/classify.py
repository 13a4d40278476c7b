"""POST /classify: one image, many labels."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from app import errors, images
from app.config import Settings
from app.engine import Classification, Engine
from app.images import DecodedImage
from app.labels import check_labels, check_templates
from app.routes.bodies import read_request
from app.schemas import (
    ClassifyBody,
    ClassifyForm,
    ClassifyOptions,
    ClassifyResponse,
    ImageFacts,
    ModelName,
    Score,
    problem_responses,
    shown,
)

router = APIRouter()


def query_parameters() -> list[dict[str, Any]]:
    """Returns what OpenAPI shows for the image as body, whose options are in the query."""
    description = "Only with the image itself as body."
    properties = ClassifyOptions.model_json_schema()["properties"]
    return [
        {"name": name, "in": "query", "schema": properties[name], "description": description} for name in properties
    ]


@router.post(
    "/classify",
    response_model=ClassifyResponse,
    responses=problem_responses(
        errors.InvalidRequest,
        errors.BodyTooLarge,
        errors.ImageTooLarge,
        errors.UnsupportedMediaType,
        errors.InvalidImage,
        errors.InvalidLabels,
        errors.InvalidTemplate,
        errors.Overloaded,
        errors.InternalError,
        errors.NotReady,
    ),
    openapi_extra={
        "parameters": query_parameters(),
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": ClassifyForm.model_json_schema()},
                "application/json": {"schema": ClassifyBody.model_json_schema()},
                "image/*": {"schema": {"type": "string", "format": "binary"}},
            },
        },
    },
)
async def classify(request: Request) -> Response:
    """Scores each label against one image.

    Send a form, JSON with the image as base64, or the image itself with the options in the query.
    """
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    info = engine.encoder.info  # not ready is said before the body is read
    image_bytes, options = await read_request(request, settings, engine)
    labels = check_labels(options.labels, settings.max_labels)
    templates = None if options.templates is None else check_templates(options.templates, len(labels))
    with engine.admission.permit():
        started_s = time.perf_counter()
        try:
            image = await engine.in_thread(images.decode, image_bytes, settings.max_image_pixels)
        except errors.ServiceError as error:
            request.app.state.metrics.decode_failed(error.code)
            raise
        request.state.timings_s["decode"] = time.perf_counter() - started_s
        classification = await engine.classify(image.rgb, labels, templates)
        content = await engine.in_thread(
            answer, ModelName(variant=info.variant, weights=info.weights), image, labels, classification, options
        )
    request.state.timings_s.update(classification.timings_s)
    request.state.facts.update(image="{1}x{0}".format(*image.rgb.shape), format=image.format, labels=len(labels))
    return Response(content, media_type="application/json")


def answer(
    model: ModelName, image: DecodedImage, labels: list[str], classification: Classification, options: ClassifyOptions
) -> bytes:
    """Returns the body of the answer. For a thread: 10,000 labels take tens of milliseconds."""
    height, width, _ = image.rgb.shape
    logits, sigmoid, softmax = classification.scores
    response = ClassifyResponse(
        model=model,
        image=ImageFacts(width=width, height=height, format=image.format, notes=image.notes),
        scores=[
            Score(label=labels[i], logit=shown(logits[i]), sigmoid=shown(sigmoid[i]), softmax=shown(softmax[i]))
            for i in classification.order(options.top_k, options.threshold)
        ],
    )
    return response.model_dump_json().encode()
