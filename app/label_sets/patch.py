"""A change of a stored label set: what is sent of it, and the definition that it makes."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from app.errors import InvalidLabels, InvalidRequest
from app.label_sets.definition import (
    Calibration,
    LabelDefinition,
    LabelSetDefinition,
    Threshold,
    TunedFor,
    check_label_set,
    own_prompts,
    tuned_members,
)
from app.schemas import Sent, Texts, example

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


def patched_label(label: str | LabelDefinition, patch: TunedPatch, pointer: str) -> LabelDefinition:
    """Returns the changed label."""
    name, members = (label, {}) if isinstance(label, str) else (label.label, tuned_members(label))
    return LabelDefinition(label=name, prompts=own_prompts(label), **patch.merged(members, pointer))
