"""The JSON contract: what a request may contain, what a response looks like, and an example of each.

Forms, JSON and queries carry the same fields. JSON is read strictly; numbers in forms and queries are read from text.
Unknown fields are refused, so that a typo is an error and not a silent default.

The scores in the examples are those that Hugging Face publishes for google/siglip-base-patch16-224 and COCO's image of
two cats.
"""

from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from app.errors import InvalidImage, InvalidRequest
from app.validation import with_few_unknown

REQUEST_ID = "5f0c6f7e9d1b4c2a8e3f"
PNG = (  # 8 x 8, orange
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mN8ViHHgA0wMeAAg1MCAC3HAYwwIk7yAAAAAElFTkSuQmCC"
)
FILE = "(the file)"  # in a form
LABELS = ["2 cats", "2 dogs"]
MODEL = {"variant": "SigLIPBaseP16", "weights": "google_224"}
IMAGE = {"width": 640, "height": 480, "format": "JPEG", "notes": ["exif_orientation_applied"]}
SCORES = [
    {"label": "2 cats", "logit": -0.7567, "sigmoid": 0.3194, "softmax": 0.9999},
    {"label": "2 dogs", "logit": -10.3354, "sigmoid": 0.0000325, "softmax": 0.0001},
]
FAILED = {"error": InvalidImage.at("/images/1", "The JPEG is truncated").problem(REQUEST_ID)}

# Only the first wrong element is reported: Pydantic would make gigabytes of errors for a list of millions.
Texts = Annotated[list[str], Field(fail_fast=True)]
Base64 = Annotated[str, Field(description="The image file as standard base64, without a `data:` prefix.")]

Frame = Annotated[int, Field(ge=0, description="The frame or page of each image file, counted from 0.")]


def example(value: Any) -> ConfigDict:
    """Returns the configuration of a schema with an example."""
    return ConfigDict(json_schema_extra={"example": value})


class Sent(BaseModel):
    """An object that a client sends. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def has_few_unknown(cls, values: Any) -> Any:
        """Drops the unknown fields that would not be reported."""
        return with_few_unknown(cls, values) if isinstance(values, dict) else values


class LabelChoice(Sent):
    """The labels of a request."""

    labels: Annotated[
        Texts | None, Field(description="What may be in the image, each 1 to 256 characters after trimming.")
    ] = None
    label_set: Annotated[str | None, Field(description="The name of a stored label set, instead of `labels`.")] = None
    templates: Annotated[
        Texts | None,
        Field(description="Sentences with `{}` for the label, averaged. Default: `This is a photo of {}.`"),
    ] = None
    _labels_split: bool = PrivateAttr(default=False)

    @property
    def labels_split(self) -> bool:
        """Whether `labels` was one text of a form or a query, and was split."""
        return self._labels_split

    @labels_split.setter
    def labels_split(self, value: bool) -> None:
        self._labels_split = value

    @model_validator(mode="after")
    def has_one_source_of_labels(self) -> Self:
        """Refuses labels with a label set, neither of them, and templates with a set, which has its own."""
        if self.labels is None and self.label_set is None:
            message = "labels is missing. Send labels, or label_set with the name of a stored set."
            raise InvalidRequest.at("/labels", message)
        if self.label_set is not None and (self.labels, self.templates) != (None, None):
            raise InvalidRequest.at("/label_set", "label_set replaces labels and templates. Send one or the other.")
        return self


class LabelOptions(LabelChoice):
    """The labels of a request, and which scores it returns."""

    top_k: Annotated[int | None, Field(ge=1, description="Return only this many labels, the best first.")] = None
    threshold: Annotated[
        float | None, Field(ge=0, le=1, description="Return only labels whose sigmoid is at least this.")
    ] = None


class ClassifyOptions(LabelOptions):
    """Everything in a request except its image."""

    frame: Frame = 0


class ClassifyBody(ClassifyOptions):
    """A request as JSON."""

    model_config = example({"image": PNG, "labels": LABELS, "top_k": 2})

    image: Base64


class ClassifyForm(ClassifyOptions):
    """A request as a form."""

    model_config = example({"image": FILE, "labels": LABELS, "top_k": 2})

    image: Annotated[bytes, Field(description="The image file.")]


class BatchBody(ClassifyOptions):
    """A request with several images as JSON."""

    model_config = example({"images": [PNG, PNG], "labels": LABELS, "templates": ["This is a photo of {}.", "a {}"]})

    images: Annotated[Texts, Field(description="The image files as standard base64, without a `data:` prefix.")]


class BatchForm(ClassifyOptions):
    """A request with several images as a form."""

    model_config = example({"images": [FILE, FILE], "labels": LABELS, "templates": ["This is a photo of {}.", "a {}"]})

    images: Annotated[list[bytes], Field(description="The image files; repeat the field.")]


class ModelName(BaseModel):
    """The weights that computed the response."""

    variant: str
    weights: str


class ImageFacts(BaseModel):
    """The image that the model saw: its sides after orientation, and what was done to its pixels."""

    width: int
    height: int
    format: str
    notes: list[str]


class Score(BaseModel):
    """One label. `sigmoid` is about this label alone; `softmax` compares the labels of this request."""

    label: str
    logit: float
    sigmoid: float
    softmax: float


class ScoredImage(BaseModel):
    """One image: labels sorted by falling logit, equal ones in the order of the request."""

    image: ImageFacts
    scores: list[Score]


class ResponseWarning(BaseModel):
    """Something that a reader of the scores must know. `labels` are indices; left out if it is about all."""

    code: str
    message: str
    labels: Annotated[list[int] | None, Field(exclude_if=lambda value: value is None)] = None


class ClassifyResponse(BaseModel):
    """One image, and the model that scored it."""

    model_config = example({"model": MODEL, "image": IMAGE, "scores": SCORES, "warnings": []})

    model: ModelName
    image: ImageFacts
    scores: list[Score]
    warnings: list[ResponseWarning]


class Problem(BaseModel):
    """An error, by RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    error: Annotated[str, Field(description="The same as `detail`.")]
    error_type: str
    errors: Annotated[list[dict[str, str]], Field(description="Each a `pointer` into the request and a `message`.")]
    request_id: str


class FailedImage(BaseModel):
    """An image of several that cannot be used."""

    error: Problem


class BatchResponse(BaseModel):
    """One result for each image, in the order of the request."""

    model_config = example({"model": MODEL, "results": [{"image": IMAGE, "scores": SCORES}, FAILED], "warnings": []})

    model: ModelName
    results: list[ScoredImage | FailedImage]
    warnings: list[ResponseWarning]


def rounded(value: np.floating[Any]) -> float:
    """Returns a float32 with its seven digits, not with the seventeen of the double that it becomes."""
    return float(f"{value:.7g}")
