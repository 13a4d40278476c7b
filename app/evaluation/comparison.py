"""Are the second scores better than the first, on the same images? And is a result worse than a stored one?"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from app.evaluation.answers import Logits, Truth, find_answers
from app.evaluation.intervals import REPLICATES, Decisions, mean_average_precisions, percentile_interval, resampled
from app.evaluation.metrics import Summary, bootstrap_map_replicates, describe_data, predictions
from app.evaluation.result import Documented, Estimate

Z = 1.959964  # the 97.5 % point of the normal distribution
METRICS = ("top1", "top5", "macro_precision", "macro_recall", "macro_f1", "map")  # higher is better

# Weights [R, N] of the images -> a number for each of the two matrices and each replicate, [R] and [R].
Statistic = Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@dataclass(frozen=True, kw_only=True)
class Difference(Documented):
    """One metric of two score matrices on the same images."""

    first: float
    second: float
    difference: Estimate
    """second - first, with its paired 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Comparison(Documented):
    """Two score matrices on the same images: `second` compared with `first`."""

    first: str
    second: str
    images: int
    only_first_right: int
    """Images whose best label is true in the first matrix only."""
    only_second_right: int
    p_value: float | None
    """Exact McNemar test of equal top-1; null without images that have a true label."""
    top1: Difference | None
    """Bonett-Price interval for paired proportions."""
    macro_f1: Difference | None
    """Paired bootstrap over images."""
    map: Difference | None
    """Paired bootstrap over images."""


def compare(first: Logits, second: Logits, truth: Truth, names: tuple[str, str] = ("first", "second")) -> Comparison:
    """Compares two score matrices on the same images.

    Args:
        first: Logits [N, K].
        second: Logits [N, K] for the same images and labels: of another checkpoint, engine, template or wording.
        truth: [N, K].
        names: What the two matrices are called in the result.

    Raises:
        ValueError: The shapes differ.
    """
    if first.shape != second.shape or first.shape != truth.shape:
        shapes = f"{first.shape}, {second.shape} and {truth.shape}"
        raise ValueError(f"both matrices and the truth must have the same images and labels. Received: shapes {shapes}")
    answers = [find_answers(logits, truth) for logits in (first, second)]
    known = answers[0].true >= 0
    right = [each.rank[known] == 0 for each in answers]
    losses, gains = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    data = describe_data(truth)
    first_decisions, second_decisions = (
        Decisions(predictions(logits, truth, each, data), truth)
        for logits, each in zip((first, second), answers, strict=True)
    )
    return Comparison(
        first=names[0],
        second=names[1],
        images=len(truth),
        only_first_right=losses,
        only_second_right=gains,
        p_value=mcnemar(losses, gains) if known.any() else None,
        top1=_top1_difference(right[0], right[1]) if known.any() else None,
        macro_f1=_bootstrapped(
            lambda weights: (first_decisions.macro(weights)[:, 2], second_decisions.macro(weights)[:, 2]),
            len(truth),
            REPLICATES,
        ),
        map=_bootstrapped(
            lambda weights: (
                mean_average_precisions(first, truth, weights),
                mean_average_precisions(second, truth, weights),
            ),
            len(truth),
            bootstrap_map_replicates(truth),
        ),
    )


def mcnemar(losses: int, gains: int) -> float:
    """Returns the two-sided p-value of McNemar's exact test that losses and gains are equally likely."""
    from scipy.stats import binomtest

    return float(binomtest(losses, losses + gains).pvalue) if losses + gains else 1.0


def paired_difference(losses: int, gains: int, images: int) -> Estimate:
    """Returns the difference of two paired shares, `(gains - losses) / images`, with its 95 % interval.

    One loss and one gain are added for the interval, so that it is not empty when the two matrices agree.

    Source: Bonett and Price, Adjusted Wald Confidence Interval for a Difference of Binomial Proportions Based on Paired
    Data (2012).
    """
    lost, gained = (losses + 1) / (images + 2), (gains + 1) / (images + 2)
    center = gained - lost
    margin = Z * sqrt((gained + lost - center**2) / (images + 2))
    return Estimate((gains - losses) / images, max(-1.0, center - margin), min(1.0, center + margin))


def _top1_difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    estimate = paired_difference(int((first & ~second).sum()), int((second & ~first).sum()), len(first))
    return Difference(first=float(first.mean()), second=float(second.mean()), difference=estimate)


def _bootstrapped(statistic: Statistic, images: int, replicates: int) -> Difference | None:
    """Returns the difference of a statistic of both matrices with its paired bootstrap interval."""
    first, second = (float(value[0]) for value in statistic(np.ones((1, images))))
    if np.isnan(first):
        return None
    changes = [np.empty(0)]
    for weights in resampled(images, replicates):
        one, other = statistic(weights)
        changes.append(other - one)
    return Difference(
        first=first, second=second, difference=percentile_interval(second - first, np.concatenate(changes))
    )


@dataclass(frozen=True)
class Check(Documented):
    """One condition for continuous integration."""

    metric: str
    passed: bool
    message: str


def check_fail_under(summary: Summary, asked: str) -> Check:
    """Checks a condition such as "top1=0.9": the measured value must be at least that.

    Raises:
        ValueError: The condition is malformed, or the metric was not computed.
    """
    metric, _, text = (part.strip() for part in asked.partition("="))
    try:
        bound = float(text)
    except ValueError:
        bound = -1
    if metric not in METRICS or not 0 <= bound <= 1:
        known = ", ".join(METRICS)
        raise ValueError(f"a condition is METRIC=NUMBER from 0 to 1, with one of {known}. Received: {asked!r}")
    measured = getattr(summary, metric)
    if measured is None:
        raise ValueError(f"{metric} cannot be computed for these images and labels, so it cannot be checked")
    passed = measured.value >= bound
    return Check(metric, passed, f"{metric} is {measured.value:.4f}, {'at least' if passed else 'below'} {bound:g}")


def check_baseline(summary: Summary, baseline: Summary) -> list[Check]:
    """Checks that no metric is below the lower end of the baseline's 95 % interval.

    If the baseline has no interval for a metric, its value is the limit. A metric that the baseline does not have is
    not checked. A metric that only the baseline has fails.
    """
    checks = []
    for metric in METRICS:
        now, before = getattr(summary, metric), getattr(baseline, metric)
        if before is None:
            continue
        bound = before.value if before.low is None else before.low
        if now is None:
            checks.append(Check(metric, False, f"{metric} cannot be computed, but the baseline has it"))
            continue
        passed = now.value >= bound
        comparison = "not below" if passed else "below"
        message = f"{metric} is {now.value:.4f}, {comparison} {bound:.4f}; the baseline has {before.value:.4f}"
        checks.append(Check(metric, passed, message))
    return checks
