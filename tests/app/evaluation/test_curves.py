import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from app.evaluation.answers import find_answers
from app.evaluation.curves import coverage_curve, reliabilities, reliability
from tests.app.evaluation.synthetic import scores


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


@pytest.mark.parametrize("several", [0.0, 0.3])
def test_each_point_of_the_curve_is_that_of_plain_counting(several):
    logits, truth, _ = scores(images=150, labels=6, several=several)
    logits = logits.round(1)  # ties
    curve = coverage_curve(logits, truth, find_answers(logits, truth))
    best, none = logits.argmax(axis=1), ~truth.any(axis=1)
    probabilities = sigmoid(logits)
    assert len(curve) > 20
    assert [point.threshold for point in curve] == sorted(point.threshold for point in curve)
    for point in curve:
        accepted = probabilities >= point.threshold * (1 - 1e-12)
        covered = accepted.any(axis=1)
        assert point.accepted == accepted.sum()
        assert point.precision == pytest.approx(truth[accepted].mean())
        assert point.recall == pytest.approx((accepted & truth).sum() / truth.sum())
        assert point.coverage == pytest.approx(covered.mean())
        assert point.top1_precision == pytest.approx(truth[covered, best[covered]].mean())
        assert point.false_accept_rate == pytest.approx(covered[none].mean())


def test_a_curve_without_any_label_has_no_recall_and_one_without_none_images_no_false_accepts():
    logits = np.array([[1.0, 2.0], [0.0, 3.0]])
    nothing, everything = np.zeros((2, 2), dtype=bool), np.ones((2, 2), dtype=bool)
    curve = coverage_curve(logits, nothing, find_answers(logits, nothing))
    assert [(point.recall, point.precision) for point in curve] == [(None, 0.0)] * 2
    curve = coverage_curve(logits, everything, find_answers(logits, everything))
    assert [point.false_accept_rate for point in curve] == [None] * 4


def test_reliability_bins_are_those_computed_by_hand():
    logits = np.log(np.array([[0.3, 0.31, 0.9], [0.9, 0.95, 0.32]]) / np.array([[0.7, 0.69, 0.1], [0.1, 0.05, 0.68]]))
    truth = np.array([[0, 1, 1], [1, 0, 1]], dtype=bool)
    found = reliability(logits, truth)
    # Bins of 1/15: 0.3, 0.31 and 0.32 are in [4/15, 5/15), 0.9 twice in [13/15, 14/15), 0.95 in [14/15, 1].
    bins = [(each.count, each.mean_score, each.share_true) for each in found.bins]
    assert [count for count, _, _ in bins] == [3, 2, 1]
    assert [mean for _, mean, _ in bins] == pytest.approx([0.31, 0.9, 0.95])
    assert [share for _, _, share in bins] == pytest.approx([2 / 3, 1, 0])
    expected = (3 * abs(2 / 3 - 0.31) + 2 * 0.1 + 0.95) / 6
    assert found.expected_calibration_error == pytest.approx(expected)


def test_reliability_bins_are_those_of_scikit_learn():
    logits, truth, _ = scores(images=500, labels=4)
    found = reliability(logits, truth)
    shares, means = calibration_curve(truth.ravel(), sigmoid(logits).ravel(), n_bins=15, strategy="uniform")
    assert [each.share_true for each in found.bins] == pytest.approx(shares)
    assert [each.mean_score for each in found.bins] == pytest.approx(means)
    assert sum(each.count for each in found.bins) == 2000


def test_scores_that_are_true_as_often_as_they_say_have_no_calibration_error():
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(200_000, 1)) * 2
    found = reliability(logits, chance.random(logits.shape) < sigmoid(logits))
    assert found.expected_calibration_error < 0.01


def test_extreme_scores_are_in_the_first_and_the_last_bin():
    found = reliability(np.array([[-1e4, 1e4]]), np.array([[False, True]]))
    assert [(each.lower, each.upper, each.count) for each in found.bins] == [(0, 1 / 15, 1), (14 / 15, 1, 1)]
    assert found.expected_calibration_error == 0.0


def test_the_reliability_of_the_best_label_has_one_answer_an_image():
    logits, truth, _ = scores(images=50, labels=4)
    best = logits.argmax(axis=1)
    found = reliabilities(logits, truth, best)
    each = np.arange(50)
    assert found.top1 == reliability(logits[each, best][:, np.newaxis], truth[each, best][:, np.newaxis])
    assert found.answers == reliability(logits, truth)
