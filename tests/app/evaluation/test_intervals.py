from math import sqrt

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from app.evaluation.intervals import (
    Decisions,
    mean_average_precisions,
    percentile_interval,
    resampled,
    wilson,
)
from tests.app.evaluation.synthetic import looped_average_precision, scores


@pytest.mark.parametrize(("successes", "total"), [(0, 1), (1, 1), (8, 10), (0, 40), (41_040, 50_000)])
def test_wilson_is_the_formula_of_1927(successes, total):
    z, p = 1.959963984540054, successes / total
    center = (p + z * z / (2 * total)) / (1 + z * z / total)
    margin = z / (1 + z * z / total) * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    estimate = wilson(successes, total)
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((p, center - margin, center + margin))


def test_a_share_of_nothing_is_unknown():
    assert wilson(0, 0) is None


def test_replicates_draw_as_many_images_as_there_are_with_a_fixed_seed():
    blocks = list(resampled(7, 120))
    assert [len(block) for block in blocks] == [50, 50, 20]
    weights = np.concatenate(blocks)
    assert (weights.sum(axis=1) == 7).all()
    assert len(np.unique(weights, axis=0)) > 100
    assert (weights == np.concatenate(list(resampled(7, 120)))).all()


def test_the_percentile_interval_leaves_out_unknown_replicates():
    drawn = np.append(np.linspace(0, 1, 1001), [np.nan] * 10)
    estimate = percentile_interval(0.4, drawn)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.4, 0.025, 0.975))


def test_few_replicates_give_no_interval():
    assert percentile_interval(0.4, np.linspace(0, 1, 199)).low is None


@pytest.mark.parametrize("several", [0.0, 0.4])
def test_weighted_macro_averages_are_those_of_repeated_images(several):
    logits, truth, _ = scores(images=40, labels=6, several=several)
    predicted = logits >= 1.0
    weights = next(resampled(40, 5))
    for row, drawn in zip(Decisions(predicted, truth).macro(weights), weights.astype(int), strict=True):
        repeated = np.repeat(np.arange(40), drawn)
        present = truth[repeated].any(axis=0)
        expected = precision_recall_fscore_support(truth[repeated], predicted[repeated], average=None, zero_division=0)
        assert row == pytest.approx([share[present].mean() for share in expected[:3]])


def test_macro_averages_without_any_label_are_unknown():
    nothing = np.zeros((3, 2), dtype=bool)
    assert np.isnan(Decisions(nothing, nothing).macro(np.ones((1, 3)))).all()
    assert np.isnan(mean_average_precisions(np.zeros((3, 2)), nothing, np.ones((1, 3)))).all()


def test_weighted_average_precision_is_that_of_scikit_learn_and_of_repeated_images():
    logits, truth, _ = scores(images=30, labels=4, several=0.3)
    logits = logits.round()  # ties
    weights = next(resampled(30, 5))
    for value, drawn in zip(mean_average_precisions(logits, truth, weights), weights, strict=True):
        repeated = np.repeat(np.arange(30), drawn.astype(int))
        present = np.flatnonzero(truth[repeated].any(axis=0))
        looped = [looped_average_precision(logits[repeated, label], truth[repeated, label]) for label in present]
        weighted = [
            average_precision_score(truth[:, label], logits[:, label], sample_weight=drawn) for label in present
        ]
        assert value == pytest.approx(np.mean(looped))
        assert value == pytest.approx(np.mean(weighted))


def test_the_bootstrap_interval_of_macro_recall_covers_the_truth_about_as_often_as_it_says():
    # Equal numbers of images a label: macro recall is then top-1, whose exact value is known from many images.
    def predicted(logits: np.ndarray) -> np.ndarray:
        return logits == logits.max(axis=1, keepdims=True)

    many = scores(images=200_000, labels=3, none=0)
    exact = float((predicted(many.logits) & many.truth).sum() / len(many.truth))
    covered = 0
    for seed in range(1, 101):
        few = scores(images=150, labels=3, none=0, seed=seed)
        decisions = Decisions(predicted(few.logits), few.truth)
        recalls = np.concatenate([decisions.macro(weights)[:, 1] for weights in resampled(150, 300)])
        estimate = percentile_interval(0.0, recalls)
        covered += estimate.low <= exact <= estimate.high
    assert 88 <= covered <= 100  # 95 expected; the binomial's standard deviation is 2.2
