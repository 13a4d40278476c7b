"""What a label set contains, in one schema for requests, files and responses, and its check by the rules for labels."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from app.labels import check_labels, check_prompts, check_templates
from app.schemas import Sent, Texts, example
from model import zero_shot

EXAMPLE = {
    "labels": ["dog", {"label": "cat", "prompts": ["a photo of a cat", "Katze"]}],
    "templates": ["This is a photo of {}."],
}
SUMMARY = {
    "name": "pets",
    "size": 2,
    "etag": '"17f43654c3ab633627ee269d5393ec5ef1c37869c0eb5c6ea29c9bc489241878"',
}


class LabelWithPrompts(Sent):
    """A label with its own prompts, which replace the templates."""

    model_config = ConfigDict(frozen=True)

    label: Annotated[str, Field(description="1 to 256 characters after trimming.")]
    prompts: Annotated[Texts, Field(description="The texts for the model, 1 to 1,024 characters each; averaged.")]


def text_or_object(value: Any, text: ValidatorFunctionWrapHandler) -> str | LabelWithPrompts:
    """Returns a label. Pydantic's own union would name its branches in the pointers of errors."""
    if isinstance(value, dict):
        return LabelWithPrompts.model_validate(value, strict=True)
    if not isinstance(value, str | LabelWithPrompts):
        raise PydanticCustomError("label_type", "Input should be a string, or an object with label and prompts")
    label: str | LabelWithPrompts = text(value)
    return label


class LabelSetDefinition(Sent):
    """The content of a label set."""

    model_config = ConfigDict(frozen=True) | example(EXAMPLE)

    labels: Annotated[
        list[Annotated[str | LabelWithPrompts, WrapValidator(text_or_object)]],
        Field(fail_fast=True),
        Field(description="Labels, or labels with their own prompts; duplicates are kept."),
    ]
    templates: Annotated[
        Texts, Field(description="Sentences with `{}` for the label, averaged, for the labels without prompts.")
    ] = Field(default=list(zero_shot.DEFAULT_TEMPLATES))

    @cached_property
    def names(self) -> list[str]:
        """The K labels."""
        return [label if isinstance(label, str) else label.label for label in self.labels]

    @property
    def prompts(self) -> list[list[str]]:
        """The prompts of each of the K labels."""
        return [
            zero_shot.prompts([label], self.templates) if isinstance(label, str) else label.prompts
            for label in self.labels
        ]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the content. Equal definitions have equal digests, however their JSON was formatted."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def check_label_set(definition: LabelSetDefinition, max_labels: int) -> LabelSetDefinition:
    """Returns the definition with trimmed labels and prompts.

    Raises:
        InvalidLabels: A label or a prompt cannot be used.
        InvalidTemplate: A template cannot be used.
    """
    names = check_labels(definition.names, max_labels)
    own = {index: label.prompts for index, label in enumerate(definition.labels) if not isinstance(label, str)}
    templates = check_templates(definition.templates, len(names) - len(own))
    prompts = check_prompts(own, len(templates) * (len(names) - len(own)))
    labels = [
        LabelWithPrompts(label=name, prompts=prompts[index]) if index in prompts else name
        for index, name in enumerate(names)
    ]
    return LabelSetDefinition(labels=labels, templates=templates)


class LabelSetSummary(BaseModel):
    """A label set without its labels."""

    model_config = example(SUMMARY)

    name: str
    size: Annotated[int, Field(description="The number of labels.")]
    etag: Annotated[str, Field(description="The value for `If-Match`. Equal definitions have equal tags.")]


class LabelSetList(BaseModel):
    """All label sets, by name."""

    model_config = example({"label_sets": [SUMMARY]})

    label_sets: list[LabelSetSummary]


class LabelSetResponse(LabelSetDefinition):
    """A stored label set."""

    model_config = example({"name": "pets", **EXAMPLE})

    name: str
