"""POST /classify: one image, many labels. POST /classify/batch: many images, the same labels."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from fastapi import APIRouter, Request, Response

from app import errors
from app.engine import Engine, together
from app.errors import Fault, InvalidRequest, ServiceError
from app.label_sets.store import LabelSets
from app.labels import check_labels, check_templates
from app.routes.bodies import Bodies, read_request
from app.routes.pictures import EmbeddedPicture, embed_picture, embed_pictures
from app.schemas import (
    BatchBody,
    BatchForm,
    BatchResponse,
    ClassifyBody,
    ClassifyForm,
    ClassifyOptions,
    ClassifyResponse,
    FailedImage,
    ModelName,
    Problem,
    ScoredImage,
    problem_responses,
)
from app.scoring import scored_image

router = APIRouter()

ONE_IMAGE = Bodies(ClassifyOptions, ClassifyForm, ClassifyBody)
MANY_IMAGES = Bodies(ClassifyOptions, BatchForm, BatchBody)
FAILURES = (*errors.OF_A_BODY, errors.LabelSetNotFound, errors.InvalidLabels, errors.InvalidTemplate)


class Classes(NamedTuple):
    """What an image may be: K labels, and their embeddings [K, E]."""

    labels: Sequence[str]
    embeddings: np.ndarray


@router.post(
    "/classify",
    response_model=ClassifyResponse,
    responses=problem_responses(*FAILURES, errors.ImageTooLarge, errors.InvalidImage),
    openapi_extra=ONE_IMAGE.openapi(),
)
async def classify(request: Request) -> Response:
    """Scores each label against one image.

    Send a form, JSON with the image as base64, or the image itself with the options in the query.
    """
    engine: Engine = request.app.state.engine
    model = ModelName.of(engine.encoder.info)  # not ready is said before the body is read
    (image,), options = await read_request(request, ONE_IMAGE)
    with engine.admission.permit():
        classes, picture = await together(embed_classes(request, options), embed_picture(request, image))
        scored = await engine.in_thread(score, engine, picture, classes, options)
        content = await engine.in_thread(ClassifyResponse(model=model, **dict(scored)).model_dump_json)
    request.state.facts.update(
        image=f"{picture.facts.width}x{picture.facts.height}", format=picture.facts.format, labels=len(classes.labels)
    )
    return Response(content, media_type="application/json")


@router.post(
    "/classify/batch",
    response_model=BatchResponse,
    responses=problem_responses(*FAILURES),
    openapi_extra=MANY_IMAGES.openapi(),
)
async def classify_batch(request: Request) -> Response:
    """Scores each label against each of several images; an image that cannot be used fails alone.

    Send a form, or JSON with the images as base64.
    """
    engine: Engine = request.app.state.engine
    model = ModelName.of(engine.encoder.info)
    images, options = await read_request(request, MANY_IMAGES)
    max_images: int = request.app.state.settings.max_images
    if not 1 <= len(images) <= max_images:
        message = f"There are {len(images):,} images; send 1 to {max_images:,}."
        raise InvalidRequest(message, [Fault("/images", message)])

    def result(picture: EmbeddedPicture | ServiceError) -> ScoredImage | FailedImage:
        if isinstance(picture, ServiceError):
            return FailedImage(error=Problem(**picture.problem(request.state.request_id)))
        return score(engine, picture, classes, options)

    def answer() -> str:
        # One by one: all in one, 640,000 scores take hundreds of megabytes and hold the interpreter for a second.
        results = ",".join(result(picture).model_dump_json() for picture in pictures)
        return f'{{"model":{model.model_dump_json()},"results":[{results}]}}'

    with engine.admission.permit(len(images)):
        classes, pictures = await together(embed_classes(request, options), embed_pictures(request, images))
        content = await engine.in_thread(answer)
    failed = sum(isinstance(picture, ServiceError) for picture in pictures)
    request.state.facts.update(images=len(images), failed=failed, labels=len(classes.labels))
    return Response(content, media_type="application/json")


async def embed_classes(request: Request, options: ClassifyOptions) -> Classes:
    """Returns the labels that a request names, or those of its label set, embedded.

    Raises:
        LabelSetNotFound: There is no set of this name.
        InvalidLabels: A label cannot be used.
        InvalidTemplate: A template cannot be used.
    """
    engine: Engine = request.app.state.engine
    started_s = time.perf_counter()
    if options.label_set is not None:
        label_sets: LabelSets = request.app.state.label_sets
        label_set = label_sets.get(options.label_set)
        return Classes(label_set.definition.names, label_set.embeddings)
    labels = check_labels(options.labels or [], request.app.state.settings.max_labels)
    templates = None if options.templates is None else check_templates(options.templates, len(labels))
    found = await engine.embed_labels(labels, templates)
    request.state.timings_s["text"] = time.perf_counter() - started_s
    request.state.facts.update(cache_hits=found.hits, cache_misses=found.misses)
    return Classes(labels, found.embeddings)


def score(engine: Engine, picture: EmbeddedPicture, classes: Classes, options: ClassifyOptions) -> ScoredImage:
    """Returns one image's scores as the client gets them. For a thread: 10,000 labels take tens of milliseconds."""
    classification = engine.classify(picture.embedding, classes.embeddings)
    return scored_image(picture.facts, classes.labels, classification, options)
