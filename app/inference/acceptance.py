"""Which labels are accepted: what was tuned for a label set, and the responses that show it.

They are classes of their own, because two more members would make each of 640,000 other scores slower.
"""

from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, Field

from app.schemas import (
    FAILED,
    IMAGE,
    MODEL,
    SCORES,
    BatchResponse,
    FailedImage,
    ImageFacts,
    ModelName,
    ResponseWarning,
    Score,
    ScoredImage,
    example,
    rounded,
)
from model import zero_shot

EXAMPLE = {
    "scores": [
        SCORES[0] | {"accepted": True, "probability": 0.8472},
        SCORES[1] | {"accepted": False, "probability": 0.0011},
    ],
    "accepted_labels": [{"index": 0, "label": "2 cats"}],
}
NOT_IN_FORCE = ResponseWarning(
    code="tuned_not_in_force",
    message="What was tuned for the label set (thresholds, calibration, examples) is for another model or other texts, "
    "and is not used.",
)


class TunedScore(Score):
    """One label of a set with thresholds or a calibration."""

    accepted: Annotated[bool | None, Field(description="null: the label has no threshold, or it is not in force.")]
    probability: Annotated[
        float | None,
        Field(exclude_if=lambda value: value is None, description="Left out if no calibration is in force."),
    ] = None


class AcceptedLabel(BaseModel):
    """A label whose sigmoid reaches its threshold."""

    index: Annotated[int, Field(description="In the label set, counted from 0.")]
    label: str


AcceptedLabels = Annotated[
    list[AcceptedLabel] | None,
    Field(description="Of all labels, the best first. Empty: none of these. null: no threshold is in force."),
]


class TunedImage(ScoredImage):
    """One image, scored with a set that has thresholds or a calibration."""

    scores: list[TunedScore]  # type: ignore[assignment]  # nobody changes the list
    accepted_labels: AcceptedLabels


class TunedResponse(BaseModel):
    """One image, scored with a set that has thresholds or a calibration."""

    model_config = example({"model": MODEL, "image": IMAGE} | EXAMPLE | {"warnings": []})

    model: ModelName
    image: ImageFacts
    scores: list[TunedScore]
    accepted_labels: AcceptedLabels
    warnings: list[ResponseWarning]


class TunedBatchResponse(BatchResponse):
    """One result for each image, scored with a set that has thresholds or a calibration."""

    model_config = example({"model": MODEL, "results": [{"image": IMAGE} | EXAMPLE, FAILED], "warnings": []})

    results: list[TunedImage | FailedImage]  # type: ignore[assignment]


class Tuning(NamedTuple):
    """What was tuned for K labels; each array is [K].

    Args:
        thresholds: On the sigmoid, float32. Infinity accepts nothing; NaN does not say what the label accepts.
        slopes: Of the calibrations, `probability = sigmoid(slope * logit + intercept)`; NaN: not calibrated.
        intercepts: Of the calibrations.
        in_force: Whether it was tuned for the encoder and the texts that are used. If not, everything is NaN.
    """

    thresholds: np.ndarray
    slopes: np.ndarray
    intercepts: np.ndarray
    in_force: bool

    @classmethod
    def not_in_force(cls, num_labels: int) -> Self:
        """Returns what remains of a tuning for another encoder or other texts."""
        nothing = np.full(num_labels, np.nan, np.float32)
        return cls(nothing, nothing, nothing, in_force=False)

    def answers(self, scores: zero_shot.Scores, shown: np.ndarray) -> list[tuple[bool | None, float | None]]:
        """Returns `accepted` and `probability` of the labels with the indices `shown`."""
        thresholds, slopes = self.thresholds[shown], self.slopes[shown]
        lines = np.nan_to_num(slopes * scores.logits[shown] + self.intercepts[shown])  # sigmoid(NaN) is a warning
        rows = zip(
            np.isnan(thresholds).tolist(),
            (scores.sigmoid[shown] >= thresholds).tolist(),
            np.isnan(slopes).tolist(),
            zero_shot.sigmoid(lines),
            strict=True,
        )
        return [
            (None if no_threshold else accepted, None if uncalibrated else rounded(probability))
            for no_threshold, accepted, uncalibrated, probability in rows
        ]

    def accepted(self, scores: zero_shot.Scores) -> list[int] | None:
        """Returns the indices of the labels whose sigmoid reaches their threshold, the best first.

        All labels count, whatever a request cuts. None: no label has a threshold.
        """
        if np.isnan(self.thresholds).all():
            return None
        accepted = np.flatnonzero(scores.sigmoid >= self.thresholds)
        indices: list[int] = accepted[np.argsort(-scores.logits[accepted], kind="stable")].tolist()
        return indices
