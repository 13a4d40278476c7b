"""POST /classify/embeddings: stored image embeddings, many labels; no image is needed."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from app import errors
from app.http.bodies import in_one_piece, media_type_of, read_json, read_query, unaccepted
from app.http.problems import problem_responses
from app.inference.embedding_rows import check_fingerprint, check_num_scores, read_npy, read_rows
from app.inference.embeddings import EmbeddingsBody, EmbeddingsOptions, EmbeddingsResponse, TunedEmbeddingsResponse
from app.inference.identity import model_fingerprint
from app.routes.scoring import Classes, Scoring

router = APIRouter()

ARRAY_TYPES = ("application/octet-stream", "application/x-npy")
# Cosines in one piece of the response: enough work for a thread, and little memory.
COSINES_AT_ONCE = 100_000


def bodies() -> dict[str, Any]:
    """Returns the `openapi_extra` of the route."""
    array = {"schema": {"type": "string", "format": "binary", "description": "A .npy file of shape [N, E]."}}
    options = in_one_piece(EmbeddingsOptions)
    parameters = [
        {"name": name, "in": "query", "schema": schema, "description": "Only with a .npy file as body."}
        for name, schema in options["properties"].items()
    ]
    content = {"application/json": {"schema": in_one_piece(EmbeddingsBody)}} | dict.fromkeys(ARRAY_TYPES, array)
    return {"parameters": parameters, "requestBody": {"required": True, "content": content}}


@router.post(
    "/classify/embeddings",
    response_model=EmbeddingsResponse | TunedEmbeddingsResponse,
    responses=problem_responses(
        *errors.BODY_ERRORS,
        errors.LabelSetNotFound,
        errors.OtherEncoder,
        errors.InvalidLabels,
        errors.InvalidTemplate,
    ),
    openapi_extra=bodies(),
)
async def classify_embeddings(request: Request) -> Response:
    """Scores each label for each of several image embeddings, as `POST /classify/batch` does for images.

    Send JSON, or a .npy file with the options in the query. `model_fingerprint` is the one that the embeddings were
    stored with. A response has at most 1,000,000 scores: `top_k` limits them. It is sent while it is computed.
    """
    scoring = Scoring(request)
    rows, options = await read_embeddings(request, scoring)
    if options.labels is not None:  # before they are embedded
        check_num_scores(len(rows), len(options.labels), options.top_k)
    with scoring.engine.admission.permit():
        classes = await scoring.embed_classes(options)
        check_num_scores(len(rows), len(classes.labels), options.top_k)
        pieces = results(scoring, rows, classes, options)
        first = await anext(pieces)  # an error here still gets its own status
    scoring.record.facts.update(embeddings=len(rows), labels=len(classes.labels))

    async def content() -> AsyncIterator[str]:
        yield f'{{"model":{scoring.model.model_dump_json()},"results":[{first}'
        async for piece in pieces:
            yield f",{piece}"
        yield f'],"warnings":[{",".join(warning.model_dump_json() for warning in classes.warnings)}]}}'

    return StreamingResponse(content(), media_type="application/json")


async def results(
    scoring: Scoring, rows: np.ndarray, classes: Classes, options: EmbeddingsOptions
) -> AsyncIterator[str]:
    """Yields the JSON of all results in pieces, separated by commas, each computed in a thread when it is needed."""

    def piece(start: int) -> str:
        part = rows[start : start + step]
        return ",".join(scoring.score_embedding(row, classes, options).model_dump_json() for row in part)

    step = max(1, COSINES_AT_ONCE // len(classes.labels))
    for start in range(0, len(rows), step):
        yield await scoring.engine.in_thread(piece, start)


async def read_embeddings(request: Request, scoring: Scoring) -> tuple[np.ndarray, EmbeddingsOptions]:
    """Returns the rows of a request, [N, E] float32, and its options.

    Raises:
        OtherEncoder: The embeddings are not this encoder's.
        InvalidRequest: The body is malformed, a row is not an embedding, or a field is unknown, missing or wrong.
        UnsupportedMediaType: The body is neither JSON nor a .npy file.
    """
    info = scoring.embedder.encoder.info
    ours = model_fingerprint(info, request.app.state.settings)
    media_type = media_type_of(request)
    if media_type in ARRAY_TYPES:
        options = read_query(request, EmbeddingsOptions)
        check_fingerprint(options.model_fingerprint, ours)
        body = await request.body()
        return await scoring.engine.in_thread(read_npy, body, info.embed_dim), options
    if media_type != "application/json":
        raise unaccepted(media_type, "application/json, or a .npy file as application/x-npy")
    if request.query_params:
        raise errors.InvalidRequest("With JSON the options belong in the body, not in the query.")
    body_options = await read_json(request, EmbeddingsBody)
    check_fingerprint(body_options.model_fingerprint, ours)
    return await scoring.engine.in_thread(read_rows, body_options.embeddings, info.embed_dim), body_options
