import numpy as np
import pytest
from scipy.optimize import brute, fmin
from sklearn.linear_model import LogisticRegression

from app.evaluation.calibration import calibrate, fit_line, fit_lines, fit_set
from app.evaluation.folds import make_splits
from tests.app.evaluation.synthetic import scores


def drawn(slope: float, intercept: float, shape: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits, and a truth that is true with probability sigmoid(slope * logit + intercept)."""
    chance = np.random.default_rng(seed)
    logits = chance.normal(size=shape) * 3 - 6
    return logits, chance.random(shape) < 1 / (1 + np.exp(-(slope * logits + intercept)))


def test_the_line_that_made_the_truth_is_found():
    line = fit_set(*drawn(0.5, 2.0, (4000, 10)))
    assert line == pytest.approx((0.5, 2.0), abs=0.1)


def test_the_line_is_that_of_logistic_regression():
    logits, truth = drawn(0.7, 1.0, (500, 1))
    expected = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000).fit(logits, truth.ravel())
    line = fit_line(logits.ravel(), truth.ravel().astype(float), (~truth).ravel().astype(float))
    assert line == pytest.approx((expected.coef_[0, 0], expected.intercept_[0]), rel=1e-3)


def test_a_prior_pulls_towards_slope_1_and_intercept_0():
    logits, truth = drawn(0.5, 2.0, (40, 1))
    true = truth.ravel().astype(float)

    def loss(line):
        fitted = line[0] * logits.ravel() + line[1]
        likelihood = np.sum(np.log1p(np.exp(fitted)) - true * fitted)
        return likelihood + (line[0] - 1) ** 2 / (2 * 0.25**2) + line[1] ** 2 / 2

    expected = brute(loss, ((0, 2), (-3, 3)), Ns=40, finish=fmin)
    assert fit_line(logits.ravel(), true, 1 - true, (0.25, 1.0)) == pytest.approx(expected, abs=1e-3)
    assert fit_line(logits.ravel(), true, 1 - true, (1e-6, 1e-6)) == pytest.approx((1, 0), abs=1e-6)


def test_separate_scores_get_a_finite_line():
    line = fit_set(np.array([[3.0], [2.0], [-2.0], [-3.0]]), np.array([[True], [True], [False], [False]]))
    assert 0 < line.slope < 10
    assert line.intercept == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("truth", [np.ones((5, 2), dtype=bool), np.zeros((5, 2), dtype=bool)])
def test_truth_that_never_changes_cannot_be_calibrated(truth):
    assert fit_set(np.arange(10.0).reshape(5, 2), truth) is None


def test_scores_that_are_less_often_true_the_higher_they_are_cannot_be_calibrated():
    logits, truth = drawn(1.0, 6.0, (500, 1))
    calibration, warnings = calibrate(-logits, truth, np.zeros(500, dtype=int), "set", make_splits(truth))
    assert calibration is None
    assert [warning.code for warning in warnings] == ["calibration_impossible"]


def test_many_answers_are_counted_in_bins_with_the_same_result():
    logits, truth = drawn(0.5, 2.0, (110_000, 1))
    # Platt's targets: not 1 and 0, but a little inside.
    trues, falses = truth.sum(), (~truth).sum()
    target = np.where(truth.ravel(), (trues + 1) / (trues + 2), 1 / (falses + 2))
    assert fit_set(logits, truth) == pytest.approx(tuple(fit_line(logits.ravel(), target, 1 - target)), abs=1e-5)


def test_equal_logits_are_counted_in_one_bin():
    truth = np.zeros((110_000, 1), dtype=bool)
    truth[:10_000] = True
    line = fit_set(np.full(truth.shape, -3.0, dtype=np.float32), truth)
    assert line is None or 1 / (1 + np.exp(-(line.slope * -3 + line.intercept))) == pytest.approx(1 / 11, abs=0.01)


def test_a_label_has_its_own_line_between_the_sets_and_its_best():
    logits, truth = drawn(1.0, 3.0, (300, 5))
    shifted, shifted_truth = drawn(1.0, 5.0, (300, 1), seed=1)
    logits, truth = np.hstack([logits, shifted]), np.hstack([truth, shifted_truth])
    lines = fit_lines(logits, truth, "label")
    alone = fit_line(shifted.ravel(), shifted_truth.ravel().astype(float), (~shifted_truth).ravel().astype(float))
    at = -4.0
    own, of_set = lines.slopes[5] * at + lines.intercepts[5], lines.for_set.slope * at + lines.for_set.intercept
    assert lines.own.all()
    assert of_set < own < alone.slope * at + alone.intercept
    assert lines(logits)[7, 5] == pytest.approx(lines.slopes[5] * logits[7, 5] + lines.intercepts[5], rel=1e-5)


def test_a_label_with_few_images_takes_the_sets_line():
    logits, truth, _ = scores(images=300, labels=3)
    truth[np.flatnonzero(truth[:, 0])[9:], 0] = False
    calibration, _ = calibrate(logits, truth, logits.argmax(axis=1), "label", make_splits(truth))
    assert [each.source for each in calibration.per_label] == ["set", "label", "label"]
    assert (calibration.per_label[0].slope, calibration.per_label[0].intercept) == (
        calibration.slope,
        calibration.intercept,
    )


@pytest.mark.parametrize("by", ["set", "label"])
def test_calibration_makes_the_scores_of_other_images_reliable(by):
    logits, truth, _ = scores(images=2000, labels=5)
    calibration, warnings = calibrate(logits, truth, logits.argmax(axis=1), by, make_splits(truth))
    before, after = calibration.before.answers, calibration.after.answers
    assert before.expected_calibration_error > 0.3
    assert after.expected_calibration_error < 0.02
    assert (calibration.held_out, warnings) == ("folds", [])
    assert (calibration.per_label is None) == (by == "set")
    assert sum(each.count for each in after.bins) == 10_000


def test_a_callers_part_is_not_used_for_fitting():
    logits, truth = drawn(1.0, 3.0, (600, 1))
    part = np.arange(600) < 300
    calibration, _ = calibrate(logits, truth, np.zeros(600, dtype=int), "set", make_splits(truth, chosen_on=part))
    assert (calibration.slope, calibration.intercept) == fit_set(logits[:300], truth[:300])
    assert sum(each.count for each in calibration.after.answers.bins) == 300


def test_too_few_images_are_reported():
    truth = np.array([[True, False]])
    calibration, warnings = calibrate(np.array([[1.0, 0.0]]), truth, np.array([0]), "set", make_splits(truth))
    assert (calibration.after, calibration.held_out) == (None, None)
    assert [warning.code for warning in warnings] == ["calibration_not_held_out"]
