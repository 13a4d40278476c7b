"""Image embeddings as data: what requests and responses with them contain. `embedding_rows` reads the rows."""

import base64
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, WithJsonSchema

from app.inference.acceptance import EXAMPLE as TUNED
from app.inference.acceptance import AcceptedLabels, TunedScore, Tuning
from app.inference.scoring import accepted_labels, sorted_scores, tuned_scores
from app.schemas import (
    FAILED,
    FILE,
    IMAGE,
    LABELS,
    MODEL,
    PNG,
    SCORES,
    Base64,
    FailedImage,
    Frame,
    ImageFacts,
    LabelOptions,
    ModelName,
    ResponseWarning,
    Score,
    Sent,
    Texts,
    example,
    rounded,
)
from model import zero_shot

LITTLE_ENDIAN_FLOAT32 = np.dtype("<f4")
FINGERPRINT = "6f0f2a55c6b0d7f6b8a8ad5f5be1e5a6c30a5a9b7d6f4f1d2d9b9a6d1c3e7b21"  # in examples
ROW = [0.0312, -0.0127, 0.0541]  # in examples; too short for any model

ModelFingerprint = Annotated[
    str, Field(description="The `model_fingerprint` of the encoder that computed the embeddings, as in `GET /info`.")
]

EmbeddingRows = Annotated[
    list[Any],  # `embedding_rows.read_rows` reads the rows. Pydantic would copy each number.
    WithJsonSchema(
        {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "number"}}]}}
    ),
    Field(description="One row for each image: base64 of little-endian float32, or a list of numbers."),
]


class EmbedImageOptions(Sent):
    """Everything in a request to embed an image except the image."""

    frame: Frame = 0


class EmbedImageBody(EmbedImageOptions):
    """An image as JSON."""

    model_config = example({"image": PNG})

    image: Base64


class EmbedImageForm(EmbedImageOptions):
    """An image as a form."""

    model_config = example({"image": FILE})

    image: Annotated[bytes, Field(description="The image file.")]


class EmbedTextBody(Sent):
    """Texts to embed."""

    model_config = example({"texts": ["This is a photo of 2 cats."]})

    texts: Annotated[Texts, Field(description="Texts as they are, each 1 to 1,024 characters.")]


class EmbedResponse(BaseModel):
    """One row for each image or text, L2-normalised."""

    model_config = example({"model": MODEL, "embeddings": [[0.0312, -0.0127, 0.0541]]})

    model: ModelName
    embeddings: list[list[float]]


class EmbedBatchOptions(EmbedImageOptions):
    """Everything in a request to embed images except the images."""

    encoding_format: Annotated[
        Literal["float", "base64"],
        Field(description="`float`: lists of numbers. `base64`: the bytes of little-endian float32, which are exact."),
    ] = "float"


class EmbedBatchBody(EmbedBatchOptions):
    """Images to embed, as JSON."""

    model_config = example({"images": [PNG, PNG], "encoding_format": "base64"})

    images: Annotated[Texts, Field(description="The image files as standard base64, without a `data:` prefix.")]


class EmbedBatchForm(EmbedBatchOptions):
    """Images to embed, as a form."""

    model_config = example({"images": [FILE, FILE], "encoding_format": "base64"})

    images: Annotated[list[bytes], Field(description="The image files; repeat the field.")]


class ImageEmbedding(BaseModel):
    """One image, and its embedding, L2-normalised."""

    image: ImageFacts
    embedding: Annotated[list[float] | str, Field(description="Numbers, or base64 if `encoding_format` is `base64`.")]


class EmbedBatchResponse(BaseModel):
    """One result for each image, in the order of the request."""

    model_config = example(
        {
            "model": MODEL,
            "model_fingerprint": FINGERPRINT,
            "results": [
                {"image": IMAGE, "embedding": ROW},
                FAILED,
            ],
        }
    )

    model: ModelName
    model_fingerprint: ModelFingerprint
    results: list[ImageEmbedding | FailedImage]


class EmbeddingsOptions(LabelOptions):
    """Everything in a request to score embeddings except the embeddings."""

    model_fingerprint: ModelFingerprint


class EmbeddingsBody(EmbeddingsOptions):
    """Embeddings to score, as JSON."""

    model_config = example({"embeddings": [ROW], "model_fingerprint": FINGERPRINT, "labels": LABELS, "top_k": 2})

    embeddings: EmbeddingRows


class ScoredEmbedding(BaseModel):
    """One embedding: labels sorted by falling logit, equal ones in the order of the request."""

    scores: list[Score]


class TunedEmbedding(ScoredEmbedding):
    """One embedding, scored with a label set that has thresholds or a calibration."""

    scores: list[TunedScore]  # type: ignore[assignment]  # nobody changes the list
    accepted_labels: AcceptedLabels


class EmbeddingsResponse(BaseModel):
    """One result for each embedding, in the order of the request."""

    model_config = example({"model": MODEL, "results": [{"scores": SCORES}], "warnings": []})

    model: ModelName
    results: list[ScoredEmbedding]
    warnings: list[ResponseWarning]


class TunedEmbeddingsResponse(EmbeddingsResponse):
    """One result for each embedding, scored with a label set that has thresholds or a calibration."""

    model_config = example({"model": MODEL, "results": [TUNED], "warnings": []})

    results: list[TunedEmbedding]  # type: ignore[assignment]


def scored_embedding(
    labels: Sequence[str], scores: zero_shot.Scores, options: LabelOptions, tuning: Tuning | None = None
) -> ScoredEmbedding:
    """Returns one embedding's scores, and with a tuning what is accepted; see `sorted_scores`."""
    if tuning is None:
        return ScoredEmbedding(scores=sorted_scores(labels, scores, options))
    return TunedEmbedding(
        scores=tuned_scores(labels, scores, options, tuning),
        accepted_labels=accepted_labels(labels, scores, tuning),
    )


def encode_row(row: np.ndarray, encoding_format: str) -> list[float] | str:
    """Returns an embedding [E] as a response has it."""
    if encoding_format == "base64":
        return base64.b64encode(row.astype(LITTLE_ENDIAN_FLOAT32).tobytes()).decode()
    return [rounded(value) for value in row]
