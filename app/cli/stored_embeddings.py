"""Scores stored embeddings, with a local model's text tower or with a running service. No image is read."""

import base64
from collections.abc import Iterator
from math import inf

from app.batch.ahead import map_ordered
from app.cli import MISTAKE, CommandError
from app.cli.client import Service
from app.cli.embedding_files import ROWS_AT_ONCE, EmbeddingFile, EmbeddingPart, StoredModel
from app.cli.remote import says_what_is_accepted
from app.cli.service_info import ServiceInfo, stored_set
from app.inference.acceptance import Tuning
from app.inference.embeddings import (
    LITTLE_ENDIAN_FLOAT32,
    EmbeddingsResponse,
    ScoredEmbedding,
    TunedEmbeddingsResponse,
    scored_embedding,
)
from app.inference.encoder import Encoder
from app.inference.identity import model_fingerprint
from app.schemas import ClassifyOptions
from app.settings import Settings
from model import zero_shot
from model.few_shot import Classifiers

Scored = tuple[str, ScoredEmbedding]

REQUESTS_AT_ONCE = 2
ROWS_PER_REQUEST = 1_000
SCORES_PER_REQUEST = 100_000  # as Python objects they take about 100 MB
BODY_SHARE = 0.8  # of the service's largest body; the rest is for the labels


def local_model(encoder: Encoder, settings: Settings) -> StoredModel:
    """Returns a loaded model, as files name it."""
    info = encoder.info
    return StoredModel(model_fingerprint(info, settings), f"{info.variant} {info.weights}")


def check_model(file: EmbeddingFile, model: StoredModel) -> None:
    """Raises CommandError if a file's embeddings are of another encoder than the one that embeds the labels."""
    if file.model.model_fingerprint != model.model_fingerprint:
        raise CommandError(
            f"the embeddings were computed by another encoder: {file.model.model}, model_fingerprint "
            f"{file.model.model_fingerprint}. This is {model.model}, model_fingerprint {model.model_fingerprint}",
            MISTAKE,
        )


def scores_of_model(
    encoder: Encoder,
    file: EmbeddingFile,
    classes: Classifiers,
    options: ClassifyOptions,
    tuning: Tuning | None = None,
) -> Iterator[Scored]:
    """Yields each path with its scores of the K labels, and with a tuning what is accepted, in order.

    Raises:
        CommandError: The file is damaged.
    """
    for part in file.parts(ROWS_AT_ONCE):
        check_width(part, classes.weights.shape[1])
        for path, row in zip(part.paths, part.rows, strict=True):
            scores = zero_shot.scores(row, classes.weights, encoder.scale, classes.biases)
            yield path, scored_embedding(options.labels or [], scores, options, tuning)


def scores_of_service(
    service: Service, info: ServiceInfo, file: EmbeddingFile, options: ClassifyOptions
) -> Iterator[Scored]:
    """Yields each path with its scores, in order; see `rows_per_request`.

    Raises:
        CommandError: The file is damaged, or the service refuses or does not respond.
    """
    fields = options.model_dump(exclude_defaults=True) | {"model_fingerprint": file.model.model_fingerprint}

    def ask(part: EmbeddingPart) -> list[Scored]:
        check_width(part, info.embed_dim)
        rows = [base64.b64encode(row.tobytes()).decode() for row in part.rows.astype(LITTLE_ENDIAN_FLOAT32)]
        content = service.ask("POST", "/classify/embeddings", json=fields | {"embeddings": rows}).content
        schema = TunedEmbeddingsResponse if says_what_is_accepted(content) else EmbeddingsResponse
        try:
            return list(zip(part.paths, schema.model_validate_json(content).results, strict=True))
        except ValueError:  # also Pydantic's
            raise service.not_ours() from None

    num_labels = len(stored_set(service, options.label_set).labels if options.label_set else options.labels or [])
    size = rows_per_request(info, num_labels, options.top_k)
    for results in map_ordered(ask, file.parts(size), threads=REQUESTS_AT_ONCE, ahead=REQUESTS_AT_ONCE):
        yield from results


def rows_per_request(info: ServiceInfo, num_labels: int, top_k: int | None) -> int:
    """Returns how many embeddings are sent at once, which bounds the memory of the client and of the service."""
    row_bytes = -(-info.embed_dim * 4 // 3) * 4 + len('"",')
    by_body = info.limits.max_body_bytes * BODY_SHARE / row_bytes
    by_scores = SCORES_PER_REQUEST / min(num_labels, top_k or inf)
    return max(1, int(min(ROWS_PER_REQUEST, by_body, by_scores)))


def check_width(part: EmbeddingPart, embed_dim: int) -> None:
    """Raises CommandError if embeddings do not have this model's width."""
    if part.rows.shape[1] != embed_dim:
        raise CommandError(f"the embeddings have {part.rows.shape[1]:,} numbers, this model's {embed_dim:,}", MISTAKE)
