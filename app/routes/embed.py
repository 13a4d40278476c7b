"""POST /embed/image, /embed/batch and /embed/text: the embeddings, for clients that compute with them or store them."""

import numpy as np
from fastapi import APIRouter, Request, Response

from app import errors
from app.errors import ServiceError
from app.http.bodies import Bodies, json_body, read_json, read_request
from app.http.problems import problem_responses
from app.inference.embeddings import (
    EmbedBatchBody,
    EmbedBatchForm,
    EmbedBatchOptions,
    EmbedBatchResponse,
    EmbedImageBody,
    EmbedImageForm,
    EmbedImageOptions,
    EmbedResponse,
    EmbedTextBody,
    ImageEmbedding,
    encode_row,
)
from app.inference.identity import model_fingerprint
from app.inference.image_input import EmbeddedImage
from app.labels import check_texts
from app.routes.scoring import Scoring
from app.schemas import (
    FailedImage,
    rounded,
)

router = APIRouter(prefix="/embed")

IMAGE = Bodies(EmbedImageOptions, EmbedImageForm, EmbedImageBody)
IMAGES = Bodies(EmbedBatchOptions, EmbedBatchForm, EmbedBatchBody)


@router.post(
    "/image",
    response_model=EmbedResponse,
    responses=problem_responses(*errors.BODY_ERRORS, *errors.IMAGE_ERRORS),
    openapi_extra=IMAGE.openapi(),
)
async def embed_image(request: Request) -> Response:
    """Returns the image's embedding, L2-normalised: one row.

    Send a form, JSON with the image as base64, or the image itself.
    """
    scoring = Scoring(request)
    (image,), options = await read_request(request, IMAGE)
    with scoring.engine.admission.permit():
        embedded = await scoring.embedder.embed_image(image, scoring.record, frame=options.frame)
    return await embeddings_response(scoring, embedded.row[None])


@router.post(
    "/batch",
    response_model=EmbedBatchResponse,
    responses=problem_responses(*errors.BODY_ERRORS),
    openapi_extra=IMAGES.openapi(),
)
async def embed_batch(request: Request) -> Response:
    """Returns the embedding of each of several images. An image that cannot be used gets an error of its own.

    Send a form, or JSON with the images as base64. Keep `model_fingerprint` with embeddings that you store.
    """
    scoring = Scoring(request)
    images, options = await read_request(request, IMAGES)
    scoring.check_count(len(images), "/images")

    def result(image: EmbeddedImage | ServiceError) -> ImageEmbedding | FailedImage:
        if isinstance(image, ServiceError):
            return scoring.failed(image)
        return ImageEmbedding(image=image.facts, embedding=encode_row(image.row, options.encoding_format))

    def content() -> str:
        return EmbedBatchResponse(
            model=scoring.model,
            model_fingerprint=model_fingerprint(scoring.embedder.encoder.info, request.app.state.settings),
            results=[result(image) for image in embedded],
        ).model_dump_json()

    with scoring.engine.admission.permit(len(images)):
        embedded = await scoring.embedder.embed_images(images, scoring.record, frame=options.frame)
    failed = sum(isinstance(image, ServiceError) for image in embedded)
    scoring.record.facts.update(images=len(images), failed=failed)
    return Response(await scoring.engine.in_thread(content), media_type="application/json")


@router.post(
    "/text",
    response_model=EmbedResponse,
    responses=problem_responses(*errors.BODY_ERRORS, errors.InvalidLabels),
    openapi_extra=json_body(EmbedTextBody),
)
async def embed_text(request: Request) -> Response:
    """Returns the texts' embeddings, L2-normalised, in their order. No template is applied."""
    scoring = Scoring(request)
    body = await read_json(request, EmbedTextBody)
    texts = check_texts(body.texts, request.app.state.settings.max_labels)
    with scoring.engine.admission.permit():
        found = await scoring.embedder.embed_texts(texts)
    scoring.record.facts.update(texts=len(texts), cache_hits=found.hits, cache_misses=found.misses)
    return await embeddings_response(scoring, found.embeddings)


async def embeddings_response(scoring: Scoring, embeddings: np.ndarray) -> Response:
    """Returns the response with embeddings [N, E]."""

    def content() -> str:
        rows = [[rounded(value) for value in row] for row in embeddings]
        return EmbedResponse(model=scoring.model, embeddings=rows).model_dump_json()

    return Response(await scoring.engine.in_thread(content), media_type="application/json")
