"""What was tuned for a label set: when it is in force, and its thresholds and calibrations as arrays.

Thresholds, calibrations and what was learnt from examples depend on the encoder and on the texts. So a set names both,
in `tuned_for`. With another encoder or other texts nothing that was tuned is used.
"""

from itertools import chain
from math import inf, nan

import numpy as np

from app.inference.acceptance import Tuning
from app.label_sets.definition import LabelDefinition, LabelSetDefinition, TunedFor, tuned_members, with_tuned_for


def bind(definition: LabelSetDefinition, model_fingerprint: str) -> LabelSetDefinition:
    """Returns the definition with `tuned_for`: its own, or else this encoder and its texts."""
    if definition.tuned_for is not None:
        return definition
    return with_tuned_for(definition, tuned_for_now(definition, model_fingerprint))


def keep_binding(given: LabelSetDefinition, stored: LabelSetDefinition | None) -> LabelSetDefinition:
    """Returns an operator's definition, with the `tuned_for` that is stored for it if nothing else has changed.

    Otherwise a start with another encoder would bind the same thresholds to that encoder.
    """
    if stored is None or stored.tuned_for is None or given.tuned_for is not None:
        return given
    bound = with_tuned_for(given, stored.tuned_for)
    return bound if bound.digest == stored.digest else given


def tuned_for_now(definition: LabelSetDefinition, model_fingerprint: str) -> TunedFor:
    """Returns the `tuned_for` with which a definition is in force."""
    return TunedFor(model_fingerprint=model_fingerprint, texts=definition.texts_digest)


def is_in_force(definition: LabelSetDefinition, model_fingerprint: str) -> bool | None:
    """Returns whether what was tuned is used, or None if nothing was tuned."""
    return definition.tuned_for == tuned_for_now(definition, model_fingerprint) if definition.is_tuned else None


def make_tuning(definition: LabelSetDefinition, model_fingerprint: str) -> Tuning | None:
    """Returns the thresholds and calibrations of the K labels, or None if there are none."""
    if is_in_force(definition, model_fingerprint) is False:
        return Tuning.not_in_force(len(definition.labels))
    if not definition.has_thresholds:
        return None
    rows = chain.from_iterable(numbers(label, definition) for label in definition.labels)
    thresholds, slopes, intercepts = np.fromiter(rows, np.float64, 3 * len(definition.labels)).reshape(-1, 3).T
    return Tuning(thresholds.astype(np.float32), slopes, intercepts, in_force=True)


def numbers(label: str | LabelDefinition, of_set: LabelSetDefinition) -> tuple[float, float, float]:
    """Returns a label's threshold, slope and intercept.

    | threshold of the label | of the set   | result     |                                      |
    |------------------------|--------------|------------|--------------------------------------|
    | 0.3                    | any          | 0.3        |                                      |
    | null                   | any          | infinity   | the label accepts nothing            |
    | left out               | 0.2          | 0.2        |                                      |
    | left out               | left out     | NaN        | it is not said what the label accepts |
    """
    own = {} if isinstance(label, str) else tuned_members(label)
    members = tuned_members(of_set) | own
    threshold = members.get("threshold", nan)
    calibration = members.get("calibration")
    line = (nan, nan) if calibration is None else (calibration.slope, calibration.intercept)
    return (inf if threshold is None else threshold, *line)
