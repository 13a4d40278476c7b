"""What a label set contains, in one schema for requests, files and responses, and its check by the rules for labels."""

import hashlib
import json
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from app.label_sets.examples import KINDS, Digest, Example, Examples
from app.labels import check_labels, check_prompts, check_templates
from app.schemas import Sent, Texts, example
from model import zero_shot

EXAMPLE = {
    "labels": ["dog", {"label": "cat", "prompts": ["a photo of a cat", "Katze"], "threshold": 0.31}],
    "templates": ["This is a photo of {}."],
    "threshold": 0.24,
    "calibration": {"slope": 0.82, "intercept": 1.7},
}
MAX_COEFFICIENT = 1e6  # of a calibration; with larger ones a float could overflow

Threshold = Annotated[
    float | None,
    Field(ge=0, le=1, description="Accept a label from this sigmoid on. null accepts nothing."),
]


class Calibration(Sent):
    """`probability = sigmoid(slope * logit + intercept)`."""

    model_config = ConfigDict(frozen=True)

    slope: Annotated[float, Field(gt=0, le=MAX_COEFFICIENT)]
    intercept: Annotated[float, Field(ge=-MAX_COEFFICIENT, le=MAX_COEFFICIENT)]


class TunedFor(Sent):
    """What thresholds, calibration and examples are for. With another model or other texts they are not used."""

    model_config = ConfigDict(frozen=True)

    model_fingerprint: Annotated[Digest, Field(description="The encoder's, as in `GET /info`.")]
    texts: Annotated[Digest, Field(description="The SHA-256 of labels, prompts and templates.")]


class LabelDefinition(Sent):
    """A label with more than its name: prompts, which replace the templates, what was tuned for it, or examples.

    A threshold that is left out is the set's, and so is a calibration.
    """

    model_config = ConfigDict(frozen=True)

    label: Annotated[str, Field(description="1 to 256 characters after trimming.")]
    prompts: Annotated[
        Texts | None, Field(description="The texts for the model, 1 to 1,024 characters each; averaged.")
    ] = None
    threshold: Threshold = None
    calibration: Calibration | None = None
    examples: Annotated[Examples, Field(description="Images that show it.")] = Field(default=[])
    counterexamples: Annotated[Examples, Field(description="Images that do not show it.")] = Field(default=[])


def text_or_object(value: Any, text: ValidatorFunctionWrapHandler) -> str | LabelDefinition:
    """Returns a label. Pydantic's own union would name its branches in the pointers of errors."""
    if isinstance(value, dict):
        return LabelDefinition.model_validate(value, strict=True)
    if not isinstance(value, str | LabelDefinition):
        raise PydanticCustomError("label_type", "Input should be a string, or an object with label and prompts")
    label: str | LabelDefinition = text(value)
    return label


class LabelSetDefinition(Sent):
    """The content of a label set. A threshold that is left out is not the same as one that is null."""

    model_config = ConfigDict(frozen=True) | example(EXAMPLE)

    labels: Annotated[
        list[Annotated[str | LabelDefinition, WrapValidator(text_or_object)]],
        Field(fail_fast=True),
        Field(description="Labels, or labels with their own prompts or threshold; duplicates are kept."),
    ]
    templates: Annotated[
        Texts, Field(description="Sentences with `{}` for the label, averaged, for the labels without prompts.")
    ] = Field(default=list(zero_shot.DEFAULT_TEMPLATES))
    threshold: Threshold = None
    calibration: Calibration | None = None
    tuned_for: Annotated[
        TunedFor | None, Field(description="Default: the model of this service, and the texts of this set.")
    ] = None

    @cached_property
    def names(self) -> list[str]:
        """The K labels."""
        return [label if isinstance(label, str) else label.label for label in self.labels]

    @property
    def prompts(self) -> list[list[str]]:
        """The prompts of each of the K labels."""
        return [
            zero_shot.prompts([name], self.templates) if prompts is None else prompts
            for name, prompts in zip(self.names, map(own_prompts, self.labels), strict=True)
        ]

    @property
    def is_tuned(self) -> bool:
        """Whether the set has anything that depends on the model."""
        return self.has_thresholds or bool(self.examples)

    @cached_property
    def has_thresholds(self) -> bool:
        """Whether the set or a label has a threshold or a calibration."""
        return any(tuned_members(part) for part in (self, *self.labels) if not isinstance(part, str))

    @cached_property
    def examples(self) -> list[str | bytes | Example]:
        """All examples and counterexamples."""
        return [example for label in self.labels for kind in KINDS for example in own_examples(label, kind)]

    @property
    def whole(self) -> dict[str, Any]:
        """The definition as JSON, with everything. Members that were left out stay left out."""
        sent = self.model_dump(exclude_unset=True)
        return {"labels": sent["labels"], "templates": self.templates} | sent

    @property
    def content(self) -> dict[str, Any]:
        """The definition as JSON, with the digests of the examples instead of their embeddings."""
        whole = self.whole
        for label in whole["labels"] if self.examples else ():
            for kind in KINDS:
                if isinstance(label, dict) and kind in label:
                    label[kind] = [{"digest": own["digest"]} for own in label[kind]]
        return whole

    @cached_property
    def texts_digest(self) -> str:
        """The SHA-256 of labels, prompts and templates, on which the embeddings depend, and nothing else does."""
        labels = [
            name if prompts is None else {"label": name, "prompts": prompts}
            for name, prompts in zip(self.names, map(own_prompts, self.labels), strict=True)
        ]
        return digest_of({"labels": labels, "templates": self.templates})

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the content. Equal definitions have equal digests, however their JSON was formatted."""
        return digest_of(self.content)


class LabelSetBody(LabelSetDefinition):
    """The body of a PUT: a definition, or the response to a GET after editing."""

    name: Annotated[str | None, Field(description="Not read: the path has the name.")] = None
    in_force: Annotated[bool | None, Field(description="Not read: it follows from `tuned_for`.")] = None
    warnings: Annotated[list[Any], Field(description="Not read.")] = Field(default=[])


def own_prompts(label: str | LabelDefinition) -> list[str] | None:
    """Returns a label's own prompts, or None if the templates make them."""
    return None if isinstance(label, str) else label.prompts


def own_examples(label: str | LabelDefinition, kind: str) -> list[Any]:
    """Returns a label's examples or counterexamples."""
    found: list[Any] = [] if isinstance(label, str) else getattr(label, kind)
    return found


def own_members(label: str | LabelDefinition) -> dict[str, Any]:
    """Returns what a label has besides its name. What is empty is left out."""
    if isinstance(label, str):
        return {}
    prompts: dict[str, Any] = {} if label.prompts is None else {"prompts": label.prompts}
    return prompts | tuned_members(label) | {kind: own for kind in KINDS if (own := own_examples(label, kind))}


def with_members(label: str | LabelDefinition, members: dict[str, Any]) -> str | LabelDefinition:
    """Returns the label with these members instead of its own."""
    name = label if isinstance(label, str) else label.label
    return LabelDefinition(label=name, **members) if members else name


def tuned_members(part: LabelSetDefinition | LabelDefinition) -> dict[str, Any]:
    """Returns a set's or a label's own `threshold` and `calibration`, without those that are left out."""
    found: dict[str, Any] = {"threshold": part.threshold} if "threshold" in part.model_fields_set else {}
    return found if part.calibration is None else found | {"calibration": part.calibration}


def check_label_set(definition: LabelSetDefinition, max_labels: int) -> LabelSetDefinition:
    """Returns the definition in its shortest form, with trimmed labels and prompts.

    Raises:
        InvalidLabels: A label or a prompt cannot be used.
        InvalidTemplate: A template cannot be used.
    """
    names = check_labels(definition.names, max_labels)
    own = {index: own for index, label in enumerate(definition.labels) if (own := own_prompts(label)) is not None}
    templates = check_templates(definition.templates, len(names) - len(own))
    prompts = check_prompts(own, len(templates) * (len(names) - len(own)))
    labels: list[str | LabelDefinition] = []
    for index, (name, label) in enumerate(zip(names, definition.labels, strict=True)):
        trimmed = {"prompts": prompts[index]} if index in prompts else {}
        labels.append(with_members(name, own_members(label) | trimmed))
    return with_labels(definition, labels, templates)


def with_tuned_for(definition: LabelSetDefinition, tuned_for: TunedFor) -> LabelSetDefinition:
    """Returns the definition with another `tuned_for`, or as it is if nothing was tuned."""
    if not definition.is_tuned:
        return definition
    return LabelSetDefinition(
        labels=definition.labels, templates=definition.templates, **tuned_members(definition), tuned_for=tuned_for
    )


def with_labels(
    definition: LabelSetDefinition, labels: list[str | LabelDefinition], templates: list[str] | None = None
) -> LabelSetDefinition:
    """Returns the definition with other labels, and other templates if given. What was tuned for the set stays."""
    templates = definition.templates if templates is None else templates
    changed = LabelSetDefinition(labels=labels, templates=templates, **tuned_members(definition))
    return changed if definition.tuned_for is None else with_tuned_for(changed, definition.tuned_for)


def digest_of(content: dict[str, Any]) -> str:
    """Returns the SHA-256 of JSON, in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
