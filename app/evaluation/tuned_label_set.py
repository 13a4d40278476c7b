"""The label set with the thresholds and the calibration that an evaluation has chosen."""

from typing import Any

from app.evaluation.evaluation import Evaluation
from app.label_sets.definition import Calibration, LabelDefinition, LabelSetDefinition, own_prompts
from app.label_sets.tuning import bind


def tuned_label_set(definition: LabelSetDefinition, evaluation: Evaluation) -> LabelSetDefinition:
    """Returns the label set, bound to the encoder and the texts of the evaluation.

    A label without its own threshold or calibration gets none, so that the set's applies. A label for which the asked
    precision cannot be reached gets the threshold null: it accepts nothing.

    Args:
        definition: The evaluated labels and templates. What was tuned for them before is dropped.
        evaluation: Its result for these labels.
    """
    thresholds, calibration = evaluation.thresholds, evaluation.calibration
    labels: list[str | LabelDefinition] = []
    for index, (name, label) in enumerate(zip(definition.names, definition.labels, strict=True)):
        prompts = own_prompts(label)
        members: dict[str, Any] = {} if prompts is None else {"prompts": prompts}
        if thresholds and (own := thresholds.per_label[index]).source != "set":
            members["threshold"] = own.threshold
        if calibration and calibration.per_label and (line := calibration.per_label[index]).source == "label":
            members["calibration"] = Calibration(slope=line.slope, intercept=line.intercept)
        labels.append(LabelDefinition(label=name, **members) if members else name)
    of_set: dict[str, Any] = {"threshold": thresholds.threshold} if thresholds else {}
    if calibration:
        of_set["calibration"] = Calibration(slope=calibration.slope, intercept=calibration.intercept)
    tuned = LabelSetDefinition(labels=labels, templates=definition.templates, **of_set)
    return bind(tuned, evaluation.model_fingerprint)


def untuned(definition: LabelSetDefinition) -> LabelSetDefinition:
    """Returns only the labels, prompts and templates of a label set."""
    labels: list[str | LabelDefinition] = [
        name if prompts is None else LabelDefinition(label=name, prompts=prompts)
        for name, prompts in zip(definition.names, map(own_prompts, definition.labels), strict=True)
    ]
    return LabelSetDefinition(labels=labels, templates=definition.templates)
