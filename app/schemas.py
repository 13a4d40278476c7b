"""The JSON contract: what a request may say and what an answer looks like.

Three bodies carry the same fields. JSON is read strictly; forms and queries carry text, from which numbers are read.
Unknown fields are refused, so that a typo is an error and not a silent default.
"""

import difflib
import hashlib
import json
from functools import cached_property
from typing import Annotated, Any, Self, TypeVar

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.errors import MAX_FAULTS, Fault, InvalidRequest, ServiceError
from model import zero_shot

M = TypeVar("M", bound=BaseModel)


class ClassifyOptions(BaseModel):
    """Everything of a request but its image."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    labels: Annotated[
        list[str] | None, Field(description="What may be in the image, each 1 to 256 characters after trimming.")
    ] = None
    label_set: Annotated[str | None, Field(description="The name of a stored label set, instead of `labels`.")] = None
    templates: Annotated[
        list[str] | None,
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


class LabelWithPrompts(BaseModel):
    """A label with prompts of its own, which take the place of the templates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: Annotated[str, Field(description="1 to 256 characters after trimming.")]
    prompts: Annotated[list[str], Field(description="What the model reads, 1 to 1,024 characters each; averaged.")]


def text_or_object(value: Any, text: ValidatorFunctionWrapHandler) -> str | LabelWithPrompts:
    """Returns a label, with faults that are pointed at as they were sent: Pydantic's own union names its branches."""
    if isinstance(value, dict):
        return LabelWithPrompts.model_validate(value, strict=True)
    if not isinstance(value, str | LabelWithPrompts):
        raise PydanticCustomError("label_type", "Input should be a string, or an object with label and prompts")
    label: str | LabelWithPrompts = text(value)
    return label


class LabelSetDefinition(BaseModel):
    """What a label set is made of, as it is sent, kept and answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    labels: Annotated[
        list[Annotated[str | LabelWithPrompts, WrapValidator(text_or_object)]],
        Field(description="Labels, or labels with prompts of their own; duplicates are kept."),
    ]
    templates: Annotated[
        list[str], Field(description="Sentences with `{}` for the label, averaged, for the labels without prompts.")
    ] = list(zero_shot.DEFAULT_TEMPLATES)

    @cached_property
    def names(self) -> list[str]:
        """The K labels."""
        return [label if isinstance(label, str) else label.label for label in self.labels]

    @property
    def prompts(self) -> list[list[str]]:
        """What the model reads for each of the K labels."""
        return [
            zero_shot.prompts([label], self.templates) if isinstance(label, str) else label.prompts
            for label in self.labels
        ]

    @cached_property
    def digest(self) -> str:
        """The sha256 of the content: equal definitions have equal digests, whatever their JSON looked like."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


class LabelSetSummary(BaseModel):
    """A label set without its labels."""

    name: str
    size: Annotated[int, Field(description="The number of labels.")]
    etag: Annotated[str, Field(description="What `If-Match` takes; equal definitions have equal ones.")]


class LabelSetList(BaseModel):
    """All label sets, by name."""

    label_sets: list[LabelSetSummary]


class LabelSetAnswer(LabelSetDefinition):
    """A label set as it is kept."""

    name: str


class ModelName(BaseModel):
    """Which weights have answered."""

    variant: str
    weights: str


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


class ClassifyResponse(BaseModel):
    """Labels by falling logit, equal ones in the order of the request."""

    model: ModelName
    image: ImageFacts
    scores: list[Score]


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


def problem_responses(*failures: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """Returns what OpenAPI says of the failures of a path, those of one status together."""
    responses: dict[int | str, dict[str, Any]] = {}
    for failure in failures:
        line = f"`{failure.code}`: {failure.title}."
        if failure.status in responses:
            line = f"{responses[failure.status]['description']} {line}"
        content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
        responses[failure.status] = {"description": line, "content": content}
    return responses


def shown(value: np.floating[Any]) -> float:
    """Returns a float32 with the seven digits that it has, not the seventeen of the double that it becomes."""
    return float(f"{value:.7g}")


def validated(schema: type[M], values: Any, *, strict: bool) -> M:
    """Returns the values as the schema.

    Raises:
        InvalidRequest: A field is unknown, missing or of the wrong type.
    """
    try:
        return schema.model_validate(values, strict=strict)
    except ValidationError as error:
        raise invalid_request(schema, error) from None


def invalid_request(schema: type[BaseModel], error: ValidationError) -> InvalidRequest:
    """Returns our error for Pydantic's. An unknown field is not repeated, for it is input; the nearest known is named.

    | Pydantic                      | pointer     | message                                       |
    |-------------------------------|-------------|-----------------------------------------------|
    | missing, ("labels",)          | `/labels`   | `labels is missing`                           |
    | extra_forbidden, ("lables",)  |             | `unknown field; did you mean labels?`         |
    | string_type, ("labels", 3)    | `/labels/3` | `labels/3: input should be a valid string`    |
    """
    faults = []
    for fault in error.errors(include_url=False, include_input=False)[:MAX_FAULTS]:
        place = "/".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            known = (schema if len(fault["loc"]) == 1 else LabelWithPrompts).model_fields
            nearest = difflib.get_close_matches(str(fault["loc"][-1])[:32], known, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"the fields are {', '.join(known)}"
            faults.append(Fault("", f"unknown field; {hint}"))
        elif fault["type"] == "missing":
            faults.append(Fault("/" + place, f"{place} is missing"))
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            faults.append(Fault("/" + place if place else "", f"{place or 'the body'}: {message}"))
    return InvalidRequest("; ".join(fault.message for fault in faults) + ".", faults)
