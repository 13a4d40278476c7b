"""Numbers over all thresholds: what a threshold accepts, and how reliable the sigmoid is as a probability.

An answer is one label of one image, as in a response's `accepted_labels`: an image may have several or none.

Source: Guo et al., On Calibration of Modern Neural Networks (2017), for the expected calibration error with 15 bins of
equal width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.evaluation.answers import Answers, Logits, Truth, row_blocks
from app.evaluation.result import Documented
from model.zero_shot import sigmoid

BINS = 15
POINTS = 51  # quantiles of the best scores, and as many of the true labels' scores


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Documented):
    """What one threshold for all labels accepts. An answer is one label of one image."""

    threshold: float
    """On the sigmoid."""
    accepted: int
    """Accepted answers."""
    precision: float | None
    """Share of the accepted answers that are true; null if there are none."""
    recall: float | None
    """Share of the true answers that are accepted."""
    coverage: float
    """Share of all images with at least one accepted label."""
    top1_precision: float | None
    """Share of these images whose best label is true."""
    false_accept_rate: float | None
    """Share of the images without a true label that have an accepted label."""


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin(Documented):
    """Scores in [lower, upper); the last bin includes 1. Empty bins are left out."""

    lower: float
    upper: float
    count: int
    mean_score: float
    share_true: float


@dataclass(frozen=True)
class Reliability(Documented):
    """Expected calibration error: the mean of |share_true - mean_score| over the bins, weighted by their counts."""

    expected_calibration_error: float
    bins: list[ReliabilityBin]


@dataclass(frozen=True)
class Reliabilities(Documented):
    """How well a score between 0 and 1 matches the share of true answers."""

    answers: Reliability
    """Over all labels of all images. With many labels, most scores are near 0."""
    top1: Reliability
    """Over the best label of each image. An image without a true label counts as wrong."""


def coverage_curve(logits: Logits, truth: Truth, answers: Answers) -> list[CurvePoint]:
    """Returns what thresholds accept, from the lowest threshold to the highest.

    The thresholds are quantiles of the scores, because useful ones may be anywhere, 0.001 or 0.9.
    """
    best = np.take_along_axis(logits, answers.best[:, np.newaxis], axis=1)[:, 0]
    shares = np.linspace(0, 1, POINTS)
    chosen = [np.quantile(scores, shares, method="lower") for scores in (best, logits[truth]) if scores.size]
    levels = np.unique(np.concatenate(chosen))
    accepted, right = np.zeros(len(levels), dtype=np.int64), np.zeros(len(levels), dtype=np.int64)
    for rows in row_blocks(logits):
        accepted += _reaching(levels, logits[rows])
        right += _reaching(levels, logits[rows][truth[rows]])
    none = answers.true < 0
    covered = _reaching(levels, best)
    covered_right = _reaching(levels, best[answers.rank == 0])
    covered_none = _reaching(levels, best[none])
    trues, nones = int(truth.sum()), int(none.sum())
    return [
        CurvePoint(
            threshold=float(threshold),
            accepted=int(accepted[i]),
            precision=_share(right[i], accepted[i]),
            recall=_share(right[i], trues),
            coverage=float(covered[i] / len(best)),
            top1_precision=_share(covered_right[i], covered[i]),
            false_accept_rate=_share(covered_none[i], nones),
        )
        for i, threshold in enumerate(sigmoid(levels.astype(np.float64)))
    ]


def _reaching(levels: NDArray[np.floating], scores: Logits) -> NDArray[np.int64]:
    """Returns how many scores are at least as high as each of the levels, which ascend."""
    slots = np.bincount(np.searchsorted(levels, scores.ravel(), side="right"), minlength=len(levels) + 1)
    reaching: NDArray[np.int64] = slots[::-1].cumsum()[::-1][1:]
    return reaching


def _share(part: np.integer | int, whole: np.integer | int) -> float | None:
    return float(part / whole) if whole else None


def reliability(logits: Logits, truth: Truth) -> Reliability:
    """Returns the reliability of `sigmoid(logits)`; both arrays have one shape, [N, K] or [N, 1]."""
    counts, scores, trues = np.zeros(BINS), np.zeros(BINS), np.zeros(BINS)
    for rows in row_blocks(logits):
        score = sigmoid(logits[rows].astype(np.float64)).ravel()
        slot = np.minimum((score * BINS).astype(np.intp), BINS - 1)
        counts += np.bincount(slot, minlength=BINS)
        scores += np.bincount(slot, weights=score, minlength=BINS)
        trues += np.bincount(slot, weights=truth[rows].ravel(), minlength=BINS)
    bins = [
        ReliabilityBin(
            lower=i / BINS,
            upper=(i + 1) / BINS,
            count=int(counts[i]),
            mean_score=float(scores[i] / counts[i]),
            share_true=float(trues[i] / counts[i]),
        )
        for i in np.flatnonzero(counts).tolist()
    ]
    return Reliability(float(np.abs(trues - scores).sum() / counts.sum()), bins)


def reliabilities(logits: Logits, truth: Truth, best: NDArray[np.intp]) -> Reliabilities:
    """Returns the reliability over all answers, and over the label `best` [N] of each image."""
    column = best[:, np.newaxis]
    top1 = reliability(np.take_along_axis(logits, column, axis=1), np.take_along_axis(truth, column, axis=1))
    return Reliabilities(reliability(logits, truth), top1)
