"""A change of a stored label set: what is sent of it, and the definition that it makes."""

import re
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.errors import InvalidLabels, InvalidRequest, NotFound
from app.label_sets.definition import (
    Calibration,
    LabelDefinition,
    LabelSetDefinition,
    Threshold,
    TunedFor,
    check_label_set,
    own_examples,
    own_members,
    tuned_members,
    with_labels,
    with_members,
)
from app.label_sets.examples import KINDS, Examples
from app.schemas import PNG, Sent, Texts, example

INDEX = re.compile("0|[1-9][0-9]{0,8}")
REMOVE = "Members to leave out again. A label then has those of the set."

Removed = Annotated[list[Literal["threshold", "calibration"]], Field(max_length=2, description=REMOVE)]


class TunedPatch(Sent):
    """Changes what was tuned; a member that is left out stays."""

    threshold: Threshold = None
    calibration: Annotated[Calibration | None, Field(description="null removes it.")] = None
    remove: Removed = Field(default=[])

    def merged(self, members: dict[str, Any], pointer: str) -> dict[str, Any]:
        """Returns a set's or a label's tuned members after the change.

        Raises:
            InvalidRequest: A member is changed and removed; `pointer` is where the change is.
        """
        sent = {name: getattr(self, name) for name in ("threshold", "calibration") if name in self.model_fields_set}
        if both := [name for name in self.remove if name in sent]:
            raise InvalidRequest.at(f"{pointer}/remove", f"{both[0]} is changed and removed. Send one or the other.")
        return {name: value for name, value in (members | sent).items() if name not in self.remove}


def check_indices(value: Any) -> Any:
    """Refuses names that are not indices, without repeating them as pointers."""
    if isinstance(value, dict) and not all(INDEX.fullmatch(name) for name in value):
        raise PydanticCustomError("index", 'The names are the indices of labels, counted from 0, such as "0"')
    return value


class LabelSetPatch(TunedPatch):
    """A change of a label set. What is left out stays."""

    model_config = example({"threshold": 0.26, "labels": {"1": {"threshold": 0.33}}})

    labels: Annotated[
        dict[str, TunedPatch],
        BeforeValidator(check_indices),
        Field(max_length=100_000, description="Changes by the label's index, counted from 0."),
    ] = Field(default={})
    templates: Annotated[Texts | None, Field(description="They replace all templates. null: the default one.")] = None
    tuned_for: Annotated[
        TunedFor | None,
        Field(description="null: the model of this service, and the texts after the change."),
    ] = None


def patched(definition: LabelSetDefinition, patch: LabelSetPatch, max_labels: int) -> LabelSetDefinition:
    """Returns the changed definition, checked.

    `tuned_for` stays if the patch does not name it. So changed templates put what was tuned out of force.

    Raises:
        InvalidRequest: A member is changed and removed.
        InvalidLabels: There is no label with an index of the patch, or there are too many prompts.
        InvalidTemplate: A template cannot be used.
    """
    labels = list(definition.labels)
    for place, change in patch.labels.items():
        if int(place) >= len(labels):
            message = f"There is no label with this index; they are 0 to {len(labels) - 1:,}"
            raise InvalidLabels.at(f"/labels/{place}", message)
        labels[int(place)] = patched_label(labels[int(place)], change, f"/labels/{place}")
    members = {name: getattr(definition, name) for name in ("templates", "tuned_for")}
    members |= {name: getattr(patch, name) for name in members if name in patch.model_fields_set}
    members = {name: value for name, value in members.items() if value is not None}
    tuned = patch.merged(tuned_members(definition), "")
    return check_label_set(LabelSetDefinition(labels=labels, **members, **tuned), max(max_labels, len(labels)))


def patched_label(label: str | LabelDefinition, patch: TunedPatch, pointer: str) -> str | LabelDefinition:
    """Returns the changed label."""
    return with_members(label, patch.merged(own_members(label), pointer))


class ExamplesBody(Sent):
    """Examples to add to a label."""

    model_config = example({"examples": [PNG], "counterexamples": []})

    examples: Annotated[Examples, Field(description="Images that show it.")] = Field(default=[])
    counterexamples: Annotated[Examples, Field(description="Images that do not show it.")] = Field(default=[])


def with_more_examples(definition: LabelSetDefinition, index: int, more: ExamplesBody) -> LabelSetDefinition:
    """Returns the definition with more examples of one label.

    Raises:
        NotFound: There is no label with this index.
    """
    label = label_at(definition, index)
    added = {kind: own_examples(label, kind) + getattr(more, kind) for kind in KINDS}
    return with_label(definition, index, {kind: own for kind, own in added.items() if own})


def without_examples(definition: LabelSetDefinition, index: int, digests: Collection[str]) -> LabelSetDefinition:
    """Returns the definition without some examples of one label, or without all of them if no digest is given.

    Raises:
        NotFound: There is no label with this index.
        InvalidLabels: The label has no example with one of the digests.
    """
    label = label_at(definition, index)
    present = {example.digest for kind in KINDS for example in own_examples(label, kind)}
    if not present.issuperset(digests):
        raise InvalidLabels("The label has no example with one of these digests. GET lists them.")
    removed = set(digests) or present
    return with_label(
        definition,
        index,
        {kind: [each for each in own_examples(label, kind) if each.digest not in removed] for kind in KINDS},
    )


def label_at(definition: LabelSetDefinition, index: int) -> str | LabelDefinition:
    """Returns a label. Raises NotFound if there is none with this index."""
    if index >= len(definition.labels):
        raise NotFound(f"There is no label with this index; they are 0 to {len(definition.labels) - 1:,}.")
    return definition.labels[index]


def with_label(definition: LabelSetDefinition, index: int, members: dict[str, Any]) -> LabelSetDefinition:
    """Returns the definition with changed members of one label. An empty list removes a member."""
    labels = list(definition.labels)
    merged = {name: value for name, value in (own_members(labels[index]) | members).items() if value != []}
    labels[index] = with_members(labels[index], merged)
    return with_labels(definition, labels)
