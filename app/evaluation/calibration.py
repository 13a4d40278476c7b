"""Platt scaling: `probability = sigmoid(slope * logit + intercept)`, for the set or for each label.

The probability is meant for the answers of images like those it was fitted on: of the answers with 0.8, 80 % are true.
A label's own slope and intercept are pulled towards the set's, so that few images change little.

Source: Platt, Probabilistic Outputs for Support Vector Machines (1999), with its smoothed targets. The pull towards the
set's values is ours: a Gaussian prior on how much a label differs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.answers import Logits, Truth, row_blocks
from app.evaluation.curves import Reliabilities, reliabilities
from app.evaluation.folds import Splits
from app.evaluation.result import Documented, Warned

By = Literal["set", "label"]

MIN_IMAGES = 10  # with the label, and without it; two numbers are fitted, and the pull alone does not forbid odd slopes
# Standard deviations of the prior: a label's slope differs from the set's by a quarter, its intercept by 1. They say
# that labels differ mostly in how often they are true.
SLOPE_PRIOR = 0.25
INTERCEPT_PRIOR = 1.0
# More answers than this are counted in as many bins of their logits first. With a range of 65, a bin is 0.004 wide.
MAX_EXACT = 16_384
MAX_STEPS = 100  # of Newton's method; it takes about eight
TOLERANCE = 1e-9  # of slope and intercept


@dataclass(frozen=True, kw_only=True)
class LabelCalibration(Documented):
    """`probability = sigmoid(slope * logit + intercept)` for one label."""

    index: int
    slope: float
    intercept: float
    source: Literal["label", "set"]


@dataclass(frozen=True, kw_only=True)
class Calibration(Documented):
    """Platt scaling: `probability = sigmoid(slope * logit + intercept)`. It is fitted for images like these. If other
    labels are scored, or the same labels are rarer, the probabilities are off."""

    slope: float
    intercept: float
    per_label: list[LabelCalibration] | None
    """Null if one slope and one intercept are used for all labels."""
    held_out: Literal["folds", "part"] | None
    before: Reliabilities | None
    """Reliability of the sigmoid on the images that were not used for fitting."""
    after: Reliabilities | None
    """Reliability of the probability on the same images."""


class Line(NamedTuple):
    """`slope * logit + intercept`."""

    slope: float
    intercept: float


def fit_line(
    logits: NDArray[np.float64],
    true: NDArray[np.float64],
    false: NDArray[np.float64],
    prior: tuple[float, float] = (np.inf, np.inf),
) -> Line:
    """Returns the line that makes `sigmoid(line)` most likely.

    Args:
        logits: [M].
        true: How many true answers have each logit, [M]. Need not be whole numbers.
        false: How many false answers have each logit, [M].
        prior: Standard deviations of slope and intercept around 1 and 0; infinity for no prior.
    """
    from scipy.special import expit

    weights, center = true + false, np.array([1.0, 0.0])
    precision = 1 / np.square(prior)

    def loss(line: NDArray[np.float64]) -> float:
        fitted = line[0] * logits + line[1]
        likelihood = (weights * np.logaddexp(0, fitted) - true * fitted).sum()
        return float(likelihood + (precision * np.square(line - center)).sum() / 2)

    # Newton's method, because the loss is convex. Sums instead of matrix products: BLAS would start threads for little.
    line = center if precision.all() else np.array([0.0, np.log(true.sum() / false.sum())])
    for _ in range(MAX_STEPS):
        probability = expit(line[0] * logits + line[1])
        residual, spread = weights * probability - true, weights * probability * (1 - probability)
        gradient = np.array([(residual * logits).sum(), residual.sum()]) + precision * (line - center)
        mixed = (spread * logits).sum()
        curvature = np.array([[(spread * logits**2).sum(), mixed], [mixed, spread.sum()]]) + np.diag(precision)
        step = np.linalg.lstsq(curvature, gradient)[0]  # not `solve`: equal logits make the matrix singular
        before = loss(line)
        while loss(line - step) > before and np.abs(step).max() > TOLERANCE:
            step /= 2
        line = line - step
        if np.abs(step).max() <= TOLERANCE:
            break
    return Line(*line.tolist())


def fit_set(logits: Logits, truth: Truth) -> Line | None:
    """Returns one line for all answers; None if all are true, all are false, or higher logits are not truer."""
    trues, total = int(truth.sum()), truth.size
    if trues in (0, total):
        return None
    levels, true, false = _counted(logits, truth)
    target_true, target_false = (trues + 1) / (trues + 2), 1 / (total - trues + 2)
    line = fit_line(
        levels,
        true * target_true + false * target_false,
        true * (1 - target_true) + false * (1 - target_false),
    )
    return line if line.slope > 0 else None


def _counted(logits: Logits, truth: Truth) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Returns logits [M], and how many true and false answers have them; in bins if there are very many."""
    if logits.size <= MAX_EXACT:
        true = truth.ravel().astype(np.float64)
        return logits.ravel().astype(np.float64), true, 1 - true
    low, high = float(logits.min()), float(logits.max())
    counts, trues = np.zeros(MAX_EXACT), np.zeros(MAX_EXACT)
    for rows in row_blocks(logits):
        slot = ((logits[rows].ravel() - low) * ((MAX_EXACT - 1) / max(high - low, 1e-9))).round().astype(np.intp)
        counts += np.bincount(slot, minlength=MAX_EXACT)
        trues += np.bincount(slot, weights=truth[rows].ravel(), minlength=MAX_EXACT)
    used = np.flatnonzero(counts)
    return np.linspace(low, high, MAX_EXACT)[used], trues[used], (counts - trues)[used]


class Lines(NamedTuple):
    """A line for the set, and one for each label, [K]: the set's for a label with too few images."""

    for_set: Line
    slopes: NDArray[np.float64]
    intercepts: NDArray[np.float64]
    own: NDArray[np.bool_]

    def __call__(self, logits: Logits) -> NDArray[np.float32]:
        """Returns calibrated logits, [N, K]."""
        calibrated = np.empty(logits.shape, dtype=np.float32)
        for rows in row_blocks(logits):
            calibrated[rows] = logits[rows] * self.slopes + self.intercepts
        return calibrated


def fit_lines(logits: Logits, truth: Truth, by: By) -> Lines | None:
    """Returns lines for the set and the labels; None if there is none for the set."""
    for_set = fit_set(logits, truth)
    if for_set is None:
        return None
    images = truth.sum(axis=0)
    own = (images >= MIN_IMAGES) & (len(truth) - images >= MIN_IMAGES) & (by == "label")
    slopes, intercepts = np.full(len(images), for_set.slope), np.full(len(images), for_set.intercept)
    for label in np.flatnonzero(own):
        true = truth[:, label].astype(np.float64)
        # The prior is on the difference from the set's line: this fits a line on top of it.
        start = for_set.slope * logits[:, label].astype(np.float64) + for_set.intercept
        change = fit_line(start, true, 1 - true, (SLOPE_PRIOR, INTERCEPT_PRIOR))
        if change.slope <= 0:
            own[label] = False
            continue
        slopes[label] = change.slope * for_set.slope
        intercepts[label] = change.slope * for_set.intercept + change.intercept
    return Lines(for_set, slopes, intercepts, own)


def calibrate(
    logits: Logits, truth: Truth, best: NDArray[np.intp], by: By, splits: Splits
) -> tuple[Calibration | None, list[Warned]]:
    """Returns the calibration, and the reliability before and after on images that were not used for fitting.

    Args:
        logits: [N, K].
        truth: [N, K].
        best: The best label of each image, [N]; calibration does not change it.
        by: One line for the set, or one for each label.
        splits: The images to fit and to report on.
    """
    final = fit_lines(logits[splits.final], truth[splits.final], by)
    if final is None:
        reason = (
            "The scores cannot be calibrated: all answers are true or false, or higher scores are not more often true."
        )
        return None, [Warned("calibration_impossible", reason)]
    before = after = None
    fitted = [fit_lines(logits[split.chosen_on], truth[split.chosen_on], by) for split in splits.splits]
    if splits.splits and all(fitted):
        reported = np.concatenate([split.reported_on for split in splits.splits])
        parts = [lines(logits[split.reported_on]) for split, lines in zip(splits.splits, fitted, strict=True) if lines]
        before = reliabilities(logits[reported], truth[reported], best[reported])
        after = reliabilities(np.concatenate(parts), truth[reported], best[reported])
    calibration = Calibration(
        slope=final.for_set.slope,
        intercept=final.for_set.intercept,
        per_label=list(_per_label(final)) if by == "label" else None,
        held_out=splits.held_out if after else None,
        before=before,
        after=after,
    )
    reason = "There are too few images to report the calibration on images not used for fitting."
    return calibration, [] if after else [Warned("calibration_not_held_out", reason)]


def _per_label(lines: Lines) -> Iterator[LabelCalibration]:
    for index, own in enumerate(lines.own.tolist()):
        yield LabelCalibration(
            index=index,
            slope=float(lines.slopes[index]),
            intercept=float(lines.intercepts[index]),
            source="label" if own else "set",
        )
