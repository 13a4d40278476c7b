"""POST /embed/image and POST /embed/text: the embeddings themselves, for a client who computes with them."""

import numpy as np
from fastapi import APIRouter, Request, Response

from app import errors
from app.http.bodies import Bodies, json_body, read_json, read_request
from app.inference.engine import Engine
from app.labels import check_texts
from app.routes.pictures import embed_image_file
from app.schemas import (
    EmbedImageBody,
    EmbedImageForm,
    EmbedImageOptions,
    EmbedResponse,
    EmbedTextBody,
    ModelName,
    problem_responses,
    shown,
)

router = APIRouter(prefix="/embed")

IMAGE = Bodies(EmbedImageOptions, EmbedImageForm, EmbedImageBody)


@router.post(
    "/image",
    response_model=EmbedResponse,
    responses=problem_responses(*errors.OF_A_BODY, errors.ImageTooLarge, errors.InvalidImage),
    openapi_extra=IMAGE.openapi(),
)
async def embed_image(request: Request) -> Response:
    """Answers the image's embedding, L2-normalised: one row.

    Send a form, JSON with the image as base64, or the image itself.
    """
    engine: Engine = request.app.state.engine
    model = ModelName.of(engine.encoder.info)
    (image,), _ = await read_request(request, IMAGE)
    with engine.admission.permit():
        picture = await embed_image_file(request, image)
    return await answer(engine, model, picture.row[None])


@router.post(
    "/text",
    response_model=EmbedResponse,
    responses=problem_responses(*errors.OF_A_BODY, errors.InvalidLabels),
    openapi_extra=json_body(EmbedTextBody),
)
async def embed_text(request: Request) -> Response:
    """Answers the texts' embeddings, L2-normalised, in their order. No template is put around them."""
    engine: Engine = request.app.state.engine
    model = ModelName.of(engine.encoder.info)
    body = await read_json(request, EmbedTextBody)
    texts = check_texts(body.texts, request.app.state.settings.max_labels)
    with engine.admission.permit():
        found = await engine.embed_texts(texts)
    request.state.facts.update(texts=len(texts), cache_hits=found.hits, cache_misses=found.misses)
    return await answer(engine, model, found.embeddings)


async def answer(engine: Engine, model: ModelName, embeddings: np.ndarray) -> Response:
    """Returns the answer with embeddings [N, E]."""

    def content() -> str:
        rows = [[shown(value) for value in row] for row in embeddings]
        return EmbedResponse(model=model, embeddings=rows).model_dump_json()

    return Response(await engine.in_thread(content), media_type="application/json")
