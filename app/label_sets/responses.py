"""What responses say about stored label sets."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.inference.embeddings import ScoredEmbedding, TunedEmbedding
from app.label_sets.definition import EXAMPLE, LabelSetBody, LabelSetDefinition
from app.schemas import (
    FAILED,
    IMAGE,
    MODEL,
    PNG,
    SCORES,
    FailedImage,
    ImageFacts,
    ModelName,
    ResponseWarning,
    Sent,
    Texts,
    example,
)

TUNED_FOR = {
    "model_fingerprint": "6f0f2a55c6b0d7f6b8a8ad5f5be1e5a6c30a5a9b7d6f4f1d2d9b9a6d1c3e7b21",
    "texts": "17f43654c3ab633627ee269d5393ec5ef1c37869c0eb5c6ea29c9bc489241878",
}
SUMMARY = {
    "name": "pets",
    "size": 2,
    "etag": '"9d0c2b7c4f7fb5f2c6a3e1d8b4a59687130f2e4d6c8b0a99887766554433221f"',
    "in_force": True,
}
IN_FORCE = "Whether what was tuned is used. It is if `tuned_for` names this model and these texts."


class LabelSetSummary(BaseModel):
    """A label set without its labels."""

    model_config = example(SUMMARY)

    name: str
    size: Annotated[int, Field(description="The number of labels.")]
    etag: Annotated[str, Field(description="The value for `If-Match`. Equal definitions have equal tags.")]
    in_force: Annotated[bool | None, Field(description=f"{IN_FORCE} Left out if nothing was tuned.")] = None
    warnings: Annotated[list[ResponseWarning], Field(description="Left out in the list of all sets.")] = Field(
        default=[]
    )


class LabelSetList(BaseModel):
    """All label sets, by name."""

    model_config = example({"label_sets": [SUMMARY]})

    label_sets: list[LabelSetSummary]


class LabelSetResponse(LabelSetDefinition):
    """A stored label set."""

    model_config = example({"name": "pets", **EXAMPLE, "tuned_for": TUNED_FOR, "in_force": True})

    name: str
    in_force: Annotated[bool | None, Field(description=f"{IN_FORCE} Left out if nothing was tuned.")] = None
    warnings: list[ResponseWarning] = Field(default=[])


class PreviewBody(Sent):
    """A definition that is not stored, and images to score with it."""

    model_config = example({"definition": {"labels": ["cat", {"label": "dog", "examples": [PNG]}]}, "images": [PNG]})

    definition: LabelSetBody
    images: Annotated[Texts, Field(description="The image files as standard base64, without a `data:` prefix.")]
    top_k: Annotated[int | None, Field(ge=1, description="Return only this many labels, the best first.")] = None


class PreviewedImage(BaseModel):
    """One image, scored with the set as it is and as it would be."""

    image: ImageFacts
    before: ScoredEmbedding | TunedEmbedding
    after: ScoredEmbedding | TunedEmbedding


class PreviewResponse(BaseModel):
    """One result for each image, in the order of the request."""

    model_config = example(
        {
            "model": MODEL,
            "results": [{"image": IMAGE, "before": {"scores": SCORES}, "after": {"scores": SCORES}}, FAILED],
            "warnings": [],
        }
    )

    model: ModelName
    results: list[PreviewedImage | FailedImage]
    warnings: list[ResponseWarning]
