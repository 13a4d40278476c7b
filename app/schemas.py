"""The JSON contract: what a request may say and what an answer looks like.

Three bodies carry the same fields. JSON is read strictly; forms and queries carry text, from which numbers are read.
Unknown fields are refused, so that a typo is an error and not a silent default.
"""

from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.errors import MEDIA_TYPE, Fault, InvalidRequest, ServiceError
from app.http.examples import ERRORS, REQUEST_ID
from app.inference.encoder import EncoderInfo
from app.validation import with_few_unknown

# The first wrong element is told: a body of millions of them would make gigabytes of errors.
Texts = Annotated[list[str], Field(fail_fast=True)]


class Sent(BaseModel):
    """An object that a client sends. Unknown fields are refused, and no more of them are looked at than are told."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def has_few_unknown(cls, values: Any) -> Any:
        """Leaves out the unknown fields that would not be told: each makes an error."""
        return with_few_unknown(cls, values) if isinstance(values, dict) else values


class ClassifyOptions(Sent):
    """Everything of a request but its image."""

    labels: Annotated[
        Texts | None, Field(description="What may be in the image, each 1 to 256 characters after trimming.")
    ] = None
    label_set: Annotated[str | None, Field(description="The name of a stored label set, instead of `labels`.")] = None
    templates: Annotated[
        Texts | None,
        Field(description="Sentences with `{}` for the label, averaged. Default: `This is a photo of {}.`"),
    ] = None
    top_k: Annotated[int | None, Field(ge=1, description="Answer only this many labels, the best first.")] = None
    threshold: Annotated[
        float | None, Field(ge=0, le=1, description="Answer only labels whose sigmoid is at least this.")
    ] = None

    @model_validator(mode="after")
    def has_one_source_of_labels(self) -> Self:
        """Refuses labels beside a label set, neither of them, and templates beside a set, which has its own."""
        if self.labels is None and self.label_set is None:
            message = "labels is missing. Send labels, or label_set with the name of a stored set."
            raise InvalidRequest(message, [Fault("/labels", message)])
        if self.label_set is not None and (self.labels, self.templates) != (None, None):
            message = "label_set takes the place of labels and templates. Send either."
            raise InvalidRequest(message, [Fault("/label_set", message)])
        return self


class ClassifyBody(ClassifyOptions):
    """A request as JSON."""

    image: Annotated[str, Field(description="The image file as standard base64, without a `data:` prefix.")]


class ClassifyForm(ClassifyOptions):
    """A request as a form."""

    image: Annotated[bytes, Field(description="The image file.")]


class BatchBody(ClassifyOptions):
    """A request with several images as JSON."""

    images: Annotated[Texts, Field(description="The image files as standard base64, without a `data:` prefix.")]


class BatchForm(ClassifyOptions):
    """A request with several images as a form."""

    images: Annotated[list[bytes], Field(description="The image files; repeat the field.")]


class EmbedImageOptions(Sent):
    """There are none."""


class EmbedImageBody(EmbedImageOptions):
    """An image as JSON."""

    image: Annotated[str, Field(description="The image file as standard base64, without a `data:` prefix.")]


class EmbedImageForm(EmbedImageOptions):
    """An image as a form."""

    image: Annotated[bytes, Field(description="The image file.")]


class EmbedTextBody(Sent):
    """Texts to embed."""

    texts: Annotated[Texts, Field(description="Texts as they are, each 1 to 1,024 characters.")]


class ModelName(BaseModel):
    """Which weights have answered."""

    variant: str
    weights: str

    @classmethod
    def of(cls, info: EncoderInfo) -> Self:
        """Returns the name of a loaded model."""
        return cls(variant=info.variant, weights=info.weights)


class ImageFacts(BaseModel):
    """What the model has seen: sides after orientation, and what was done to the pixels."""

    width: int
    height: int
    format: str
    notes: list[str]


class Score(BaseModel):
    """One label. `sigmoid` is for this label alone; `softmax` is over the labels of this request."""

    label: str
    logit: float
    sigmoid: float
    softmax: float


class ScoredImage(BaseModel):
    """One image: labels by falling logit, equal ones in the order of the request."""

    image: ImageFacts
    scores: list[Score]


class ClassifyResponse(BaseModel):
    """One image, and which model has scored it."""

    model: ModelName
    image: ImageFacts
    scores: list[Score]


class EmbedResponse(BaseModel):
    """One row for each image or text, L2-normalised."""

    model: ModelName
    embeddings: list[list[float]]


class Problem(BaseModel):
    """A failure, by RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    error: Annotated[str, Field(description="The same as `detail`.")]
    error_type: str
    errors: Annotated[list[dict[str, str]], Field(description="`pointer` into the request and `message`, each.")]
    request_id: str


class FailedImage(BaseModel):
    """An image of several that could not be used."""

    error: Problem


class BatchResponse(BaseModel):
    """One result for each image, in the order of the request."""

    model: ModelName
    results: list[ScoredImage | FailedImage]


def problem_responses(*failures: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI says of the failures of a path, those of one status together."""
    responses: dict[int | str, dict[str, Any]] = {}
    for failure in failures:
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}
        response = responses.setdefault(failure.status, {"description": "", "content": content})
        response["description"] += f" `{failure.code}`: {failure.title}."
        response["content"][MEDIA_TYPE]["examples"][failure.code] = {"value": ERRORS[failure].problem(REQUEST_ID)}
    return responses


def shown(value: np.floating[Any]) -> float:
    """Returns a float32 with the seven digits that it has, not the seventeen of the double that it becomes."""
    return float(f"{value:.7g}")
