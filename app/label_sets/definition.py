"""What a label set is made of, as it is sent, kept and answered, and the check of it by the rules for labels."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from app.labels import check_labels, check_prompts, check_templates
from app.schemas import Sent, Texts
from model import zero_shot


class LabelWithPrompts(Sent):
    """A label with prompts of its own, which take the place of the templates."""

    model_config = ConfigDict(frozen=True)

    label: Annotated[str, Field(description="1 to 256 characters after trimming.")]
    prompts: Annotated[Texts, Field(description="What the model reads, 1 to 1,024 characters each; averaged.")]


def text_or_object(value: Any, text: ValidatorFunctionWrapHandler) -> str | LabelWithPrompts:
    """Returns a label, with faults that are pointed at as they were sent: Pydantic's own union names its branches."""
    if isinstance(value, dict):
        return LabelWithPrompts.model_validate(value, strict=True)
    if not isinstance(value, str | LabelWithPrompts):
        raise PydanticCustomError("label_type", "Input should be a string, or an object with label and prompts")
    label: str | LabelWithPrompts = text(value)
    return label


class LabelSetDefinition(Sent):
    """What a label set is made of, as it is sent, kept and answered."""

    model_config = ConfigDict(frozen=True)

    labels: Annotated[
        list[Annotated[str | LabelWithPrompts, WrapValidator(text_or_object)]],
        Field(fail_fast=True),
        Field(description="Labels, or labels with prompts of their own; duplicates are kept."),
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
        """What the model reads for each of the K labels."""
        return [
            zero_shot.prompts([label], self.templates) if isinstance(label, str) else label.prompts
            for label in self.labels
        ]

    @cached_property
    def digest(self) -> str:
        """The sha256 of the content: equal definitions have equal digests, whatever their JSON looked like."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()


def check_label_set(definition: LabelSetDefinition, max_labels: int) -> LabelSetDefinition:
    """Returns the definition with its labels and prompts trimmed.

    Raises:
        InvalidLabels: By the rules for labels and prompts.
        InvalidTemplate: By the rule for templates.
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

    name: str
    size: Annotated[int, Field(description="The number of labels.")]
    etag: Annotated[str, Field(description="What `If-Match` takes; equal definitions have equal ones.")]


class LabelSetList(BaseModel):
    """All label sets, by name."""

    label_sets: list[LabelSetSummary]


class LabelSetAnswer(LabelSetDefinition):
    """A label set as it is kept."""

    name: str
