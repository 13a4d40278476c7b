"""95 % intervals: Wilson's for shares of images, and the bootstrap over images for macro averages.

The bootstrap draws whole images with a fixed seed, so equal inputs give equal intervals. Two score matrices on the same
images get the same draws, so their difference is paired.

Source: Wilson (1927), as in `scipy.stats`; Efron and Tibshirani, An Introduction to the Bootstrap (1993), percentile
interval.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.evaluation.result import Estimate

CONFIDENCE = 0.95
REPLICATES = 1000
MIN_REPLICATES = 200  # with fewer, the ends at 2.5 % and 97.5 % are the mean of two or three draws
REPLICATES_AT_ONCE = 50  # bounds memory: 50 replicates of 50,000 images are 20 MB
# Images times labels times replicates in a bootstrap of average precision. 1e9 take about three seconds on one core.
MAX_WORK = 1_000_000_000
SEED = 0


def wilson(successes: int, total: int) -> Estimate | None:
    """Returns the share `successes / total` with Wilson's interval; None for a total of 0."""
    from scipy.stats import binomtest

    if total == 0:
        return None
    interval = binomtest(successes, total).proportion_ci(CONFIDENCE, method="wilson")
    return Estimate(successes / total, float(interval.low), float(interval.high))


def resampled(images: int, replicates: int) -> Iterator[NDArray[np.float64]]:
    """Yields blocks [R, N] of bootstrap replicates: how often each of the N images was drawn."""
    chance = np.random.default_rng(SEED)
    for start in range(0, replicates, REPLICATES_AT_ONCE):
        count = min(REPLICATES_AT_ONCE, replicates - start)
        draws = (np.bincount(chance.integers(images, size=images), minlength=images) for _ in range(count))
        yield np.stack(list(draws)).astype(np.float64)


def percentile_interval(value: float, replicates: NDArray[np.float64]) -> Estimate:
    """Returns `value` with the percentile interval of its replicates [R]. Replicates that are NaN are left out."""
    known = replicates[~np.isnan(replicates)]
    if len(known) < MIN_REPLICATES:
        return Estimate(value)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Estimate(value, float(low), float(high))


class Decisions:
    """Predicted and true labels, ready for the macro averages of many replicates."""

    def __init__(self, predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> None:
        """Args: `predicted` and `truth`, [N, K]."""
        from scipy.sparse import csr_array

        columns = truth.any(axis=0)  # no other label is in the averages
        self._truth = csr_array(truth[:, columns], dtype=float)
        self._predicted = csr_array(predicted[:, columns], dtype=float)
        self._right = self._truth * self._predicted

    def macro(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns macro precision, recall and F1, [R, 3], for weights [R, N] of the images.

        The mean is over the labels that have an image in the replicate; NaN if there are none.
        """
        right, predicted, support = (weights @ part for part in (self._right, self._predicted, self._truth))
        present = support > 0
        count = np.maximum(present.sum(axis=1), 1)
        shares = (
            right / np.maximum(predicted, 1),  # all counts are whole numbers, so 1 stands for 0 only
            right / np.maximum(support, 1),
            2 * right / np.maximum(predicted + support, 1),
        )
        means = np.stack([(share * present).sum(axis=1) / count for share in shares], axis=1)
        means[~present.any(axis=1)] = np.nan
        return means


def mean_average_precisions(
    logits: NDArray[np.floating], truth: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Returns the mean average precision [R] for weights [R, N] of the images, over the labels present in a replicate.

    `sklearn.metrics.average_precision_score` with `sample_weight`, but each label is sorted once for all replicates.
    """
    drawn = np.ascontiguousarray(weights.T, dtype=np.float32)  # rows are images: sorting them copies whole rows
    total, present = np.zeros(len(weights)), np.zeros(len(weights))
    for column in np.flatnonzero(truth.any(axis=0)):
        order = np.argsort(-logits[:, column], kind="stable")
        ranked, true = logits[order, column], np.flatnonzero(truth[order, column])
        # Only levels with a true image add to the sum. A level ends before the next lower score.
        levels, first = np.unique(-ranked[true], return_index=True)
        ends = np.searchsorted(-ranked, levels, side="right")
        accepted = np.cumsum(np.add.reduceat(drawn[order[: ends[-1]]], np.append(0, ends[:-1])), axis=0)
        gained = np.add.reduceat(drawn[order[true]], first)
        found = np.cumsum(gained, axis=0)
        total += (gained * found / np.maximum(accepted, 1)).sum(axis=0) / np.maximum(found[-1], 1)
        present += found[-1] > 0
    return np.where(present > 0, total / np.maximum(present, 1), np.nan)
