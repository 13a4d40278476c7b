"""POST /classify: one image, many labels."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Request, Response

from app import errors, images
from app.config import Settings
from app.engine import Classification, Engine
from app.images import DecodedImage
from app.label_sets import LabelSets
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


class Classes(NamedTuple):
    """What images are compared with: K labels, and what gives their class embeddings [K, E]."""

    labels: list[str]
    embed: Callable[[], Awaitable[np.ndarray]]


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
        errors.LabelSetNotFound,
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
    labels, embed_classes = chosen_classes(options, settings, engine, request.app.state.label_sets)
    with engine.admission.permit():
        started_s = time.perf_counter()
        image = await engine.in_thread(images.decode, image_bytes, settings.max_image_pixels)
        request.state.timings_s["decode"] = time.perf_counter() - started_s
        classification = await engine.classify(image.rgb, embed_classes)
        content = await engine.in_thread(
            answer, ModelName(variant=info.variant, weights=info.weights), image, labels, classification, options
        )
    request.state.timings_s.update(classification.timings_s)
    request.state.facts.update(image="{1}x{0}".format(*image.rgb.shape), format=image.format, labels=len(labels))
    return Response(content, media_type="application/json")


def chosen_classes(options: ClassifyOptions, settings: Settings, engine: Engine, label_sets: LabelSets) -> Classes:
    """Returns what a request's labels and templates say, or its label set, whose embeddings are there already.

    Raises:
        LabelSetNotFound: There is no set of this name.
        InvalidLabels: A label cannot be used.
        InvalidTemplate: A template cannot be used.
    """
    if options.label_set is not None:
        label_set = label_sets.get(options.label_set)
        return Classes(label_set.definition.names, label_set.embed)
    labels = check_labels(options.labels or [], settings.max_labels)
    templates = None if options.templates is None else check_templates(options.templates, len(labels))
    return Classes(labels, partial(engine.embed_labels, labels, templates))


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
