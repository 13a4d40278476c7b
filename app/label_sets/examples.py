"""Example images of a label: how requests, files and responses contain them.

Only embeddings and digests are kept, never the images.

    request     a base64 image, or in a form a file; {"digest"} of an image that the set has already;
                or {"embedding", "model_fingerprint"}
    stored      {"digest", "embedding", "model_fingerprint"}
    response    {"digest"}; for an export as stored
"""

import base64
import hashlib
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.inference.embedding_rows import LENGTH_TOLERANCE, decoded_row
from app.inference.embeddings import LITTLE_ENDIAN_FLOAT32
from app.schemas import Sent

MAX_LABEL_EXAMPLES = 1_000  # and as many counterexamples
KINDS = ("examples", "counterexamples")

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Example(Sent):
    """An image that was embedded before: named by its digest, or sent as its embedding."""

    model_config = ConfigDict(frozen=True)

    digest: Annotated[Digest | None, Field(description="The SHA-256 of the image file.")] = None
    embedding: Annotated[str | None, Field(description="Base64 of little-endian float32.")] = None
    model_fingerprint: Annotated[Digest | None, Field(description="The encoder of `embedding`.")] = None


def image_or_object(value: Any) -> str | bytes | Example:
    """Returns an example. Pydantic's own union would name its branches in the pointers of errors."""
    if isinstance(value, dict):
        return Example.model_validate(value, strict=True)
    if not isinstance(value, str | bytes | Example):
        raise PydanticCustomError(
            "example_type", "Input should be a base64 image, or an object with digest or embedding"
        )
    return value


Examples = Annotated[
    list[
        Annotated[
            Any,
            BeforeValidator(image_or_object),
            WithJsonSchema({"anyOf": [{"type": "string"}, Example.model_json_schema()]}),
        ]
    ],
    Field(fail_fast=True),
]


def stored_example(row: np.ndarray, model_fingerprint: str, digest: str | None = None) -> Example:
    """Returns an example as it is stored, from its embedding [E]. Default of `digest`: that of the embedding."""
    content = row.astype(LITTLE_ENDIAN_FLOAT32).tobytes()
    return Example(
        digest=digest or hashlib.sha256(content).hexdigest(),
        embedding=base64.b64encode(content).decode(),
        model_fingerprint=model_fingerprint,
    )


def embedding_of(example: Example, embed_dim: int) -> np.ndarray:
    """Returns the embedding of a stored or sent example, [E] float32.

    Raises:
        ValueError: It is not an embedding of this width. The message continues "the example ...".
    """
    row = decoded_row(example.embedding)
    if len(row) != embed_dim:
        raise ValueError(f"has {len(row):,} numbers; this model's embeddings have {embed_dim:,}")
    if not abs(float(np.linalg.norm(row)) - 1) <= LENGTH_TOLERANCE:  # also if it is NaN
        raise ValueError("is not L2-normalised: divide it by its length")
    return row
