"""The label set with the thresholds and the calibration that an evaluation has chosen."""

from typing import Any

from app.evaluation.evaluation import Evaluation
from app.label_sets.definition import (
    Calibration,
    LabelDefinition,
    LabelSetDefinition,
    own_members,
    own_prompts,
    tuned_members,
    with_members,
    with_tuned_for,
)
from app.label_sets.tuning import tuned_for_now


def tuned_label_set(definition: LabelSetDefinition, evaluation: Evaluation) -> LabelSetDefinition:
    """Returns the label set, bound to the encoder and the texts of the evaluation.

    Chosen thresholds replace all thresholds of the set, and a calibration all calibrations. Prompts and examples stay.
    A label without its own threshold or calibration gets none, so that the set's applies. A label for which the asked
    precision cannot be reached gets the threshold null: it accepts nothing.

    Args:
        definition: The evaluated set. What is tuned in it must be in force for the encoder of the evaluation.
        evaluation: Its result for these labels.
    """
    thresholds, calibration = evaluation.thresholds, evaluation.calibration
    replaced = {name for name, chosen in (("threshold", thresholds), ("calibration", calibration)) if chosen}
    labels: list[str | LabelDefinition] = []
    for index, label in enumerate(definition.labels):
        members = without(own_members(label), replaced)
        if thresholds and (own := thresholds.per_label[index]).source != "set":
            members["threshold"] = own.threshold
        if calibration and calibration.per_label and (line := calibration.per_label[index]).source == "label":
            members["calibration"] = Calibration(slope=line.slope, intercept=line.intercept)
        labels.append(with_members(label, members))
    of_set = without(tuned_members(definition), replaced)
    if thresholds:
        of_set["threshold"] = thresholds.threshold
    if calibration:
        of_set["calibration"] = Calibration(slope=calibration.slope, intercept=calibration.intercept)
    tuned = LabelSetDefinition(labels=labels, templates=definition.templates, **of_set)
    return with_tuned_for(tuned, tuned_for_now(tuned, evaluation.model_fingerprint))


def without(members: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Returns the members that have other names."""
    return {name: value for name, value in members.items() if name not in names}


def without_thresholds(definition: LabelSetDefinition) -> LabelSetDefinition:
    """Returns a label set without thresholds and calibrations. Its examples stay, and are learnt for any texts."""
    names = {"threshold", "calibration"}
    labels = [with_members(label, without(own_members(label), names)) for label in definition.labels]
    return LabelSetDefinition(labels=labels, templates=definition.templates)


def untuned(definition: LabelSetDefinition) -> LabelSetDefinition:
    """Returns only the labels, prompts and templates of a label set."""
    labels: list[str | LabelDefinition] = [
        name if prompts is None else LabelDefinition(label=name, prompts=prompts)
        for name, prompts in zip(definition.names, map(own_prompts, definition.labels), strict=True)
    ]
    return LabelSetDefinition(labels=labels, templates=definition.templates)
