from math import comb, sqrt

import numpy as np
import pytest

from app.evaluation.answers import find_answers
from app.evaluation.comparison import check_baseline, check_fail_under, compare, mcnemar, paired_difference
from app.evaluation.metrics import Summary, describe_data, label_metrics, summarize
from app.evaluation.result import Estimate
from tests.app.evaluation.synthetic import scores


def summary(**metrics: Estimate | None) -> Summary:
    names = ("top1", "top5", "macro_precision", "macro_recall", "macro_f1", "map", "false_accept_rate")
    return Summary(**dict.fromkeys(names) | metrics)


def test_differences_are_those_of_the_two_summaries():
    first, truth, labels = scores(images=300)
    second = first + np.random.default_rng(5).normal(size=first.shape).astype(np.float32)
    found = compare(first, second, truth, ("float32", "int8"))
    summaries = []
    for logits in (first, second):
        answers, data = find_answers(logits, truth), describe_data(truth)
        summaries.append(summarize(logits, truth, label_metrics(logits, truth, labels, answers, data), answers, data))
    for name in ("top1", "macro_f1", "map"):
        difference, values = getattr(found, name), [getattr(each, name).value for each in summaries]
        assert [difference.first, difference.second] == pytest.approx(values)
        assert difference.difference.value == pytest.approx(values[1] - values[0])
        assert difference.difference.low < difference.difference.value < difference.difference.high < 0
    known = truth.any(axis=1)
    right = [truth[np.arange(300), logits.argmax(axis=1)][known] for logits in (first, second)]
    assert found.only_first_right == (right[0] & ~right[1]).sum()
    assert found.only_second_right == (right[1] & ~right[0]).sum()
    assert (found.first, found.second, found.images) == ("float32", "int8", 300)
    assert found.p_value < 0.01


def test_paired_intervals_are_narrower_than_unpaired_ones():
    first, truth, _ = scores(images=400, true=2.0, none=0)
    second = first + 0.1 * np.random.default_rng(5).normal(size=first.shape).astype(np.float32)
    found = compare(first, second, truth)
    p, q = found.top1.first, found.top1.second
    unpaired = 2 * 1.96 * sqrt(p * (1 - p) / 400 + q * (1 - q) / 400)
    assert found.top1.difference.high - found.top1.difference.low < unpaired / 2


def test_equal_scores_differ_by_nothing_but_the_interval_of_top1_is_not_empty():
    logits, truth, _ = scores(images=100)
    found = compare(logits, logits, truth)
    assert (found.p_value, found.top1.difference.value) == (1.0, 0.0)
    assert found.top1.difference.low == pytest.approx(-found.top1.difference.high)
    assert found.top1.difference.high > 0
    assert (found.macro_f1.difference.low, found.macro_f1.difference.high) == (0, 0)


def test_images_of_none_alone_cannot_be_compared():
    found = compare(np.zeros((3, 2)), np.ones((3, 2)), np.zeros((3, 2), dtype=bool))
    assert (found.p_value, found.top1, found.macro_f1, found.map) == (None, None, None, None)


def test_matrices_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="the same images and labels"):
        compare(np.zeros((3, 2)), np.zeros((3, 3)), np.zeros((3, 2), dtype=bool))


@pytest.mark.parametrize(("losses", "gains"), [(0, 0), (1, 0), (8, 2), (3, 30), (50, 50)])
def test_mcnemar_is_the_exact_binomial_test(losses, gains):
    total, fewer = losses + gains, min(losses, gains)
    expected = min(1.0, 2 * sum(comb(total, k) for k in range(fewer + 1)) / 2**total)
    assert mcnemar(losses, gains) == pytest.approx(expected)


def test_the_paired_interval_is_bonett_and_prices():
    # Their adjusted proportions for 100 images with 10 losses and 20 gains: 11/102 and 21/102.
    estimate = paired_difference(10, 20, 100)
    margin = 1.959964 * sqrt((11 / 102 + 21 / 102 - (10 / 102) ** 2) / 102)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((0.1, 10 / 102 - margin, 10 / 102 + margin))


def test_the_paired_interval_covers_the_difference_as_often_as_it_says():
    chance = np.random.default_rng(0)
    covered = 0
    for losses, gains, _ in chance.multinomial(120, [0.05, 0.12, 0.83], size=2000):
        estimate = paired_difference(int(losses), int(gains), 120)
        covered += estimate.low <= 0.07 <= estimate.high
    assert 0.93 <= covered / 2000 <= 0.98


@pytest.mark.parametrize(("asked", "passed"), [("top1=0.9", True), (" top1 = 0.8 ", True), ("top1=0.91", False)])
def test_a_condition_is_met_by_at_least_that_value(asked, passed):
    check = check_fail_under(summary(top1=Estimate(0.9, 0.8, 0.95)), asked)
    assert (check.metric, check.passed) == ("top1", passed)
    assert ("below" in check.message) != passed


@pytest.mark.parametrize("asked", ["top1", "top1=", "top1=high", "top1=90", "top1=nan", "accuracy=0.9", "=0.9"])
def test_a_malformed_condition_is_refused(asked):
    with pytest.raises(ValueError, match="a condition is METRIC=NUMBER"):
        check_fail_under(summary(top1=Estimate(0.9)), asked)


def test_a_condition_on_a_metric_that_was_not_computed_is_refused():
    with pytest.raises(ValueError, match="top5 cannot be computed"):
        check_fail_under(summary(top1=Estimate(0.9)), "top5=0.9")


def test_a_metric_below_the_baselines_interval_fails():
    baseline = summary(
        top1=Estimate(0.9, 0.85, 0.94), macro_f1=Estimate(0.8, 0.75, 0.85), map=Estimate(0.7), top5=Estimate(1.0)
    )
    now = summary(top1=Estimate(0.85), macro_f1=Estimate(0.749), map=Estimate(0.699), macro_recall=Estimate(0.1))
    checks = {check.metric: check.passed for check in check_baseline(now, baseline)}
    assert checks == {"top1": True, "top5": False, "macro_f1": False, "map": False}
