import numpy as np
import pytest

from app.evaluation.folds import make_splits
from app.evaluation.thresholds import (
    check_goal,
    choose_threshold,
    choose_thresholds,
    min_images,
    tune_thresholds,
)
from tests.app.evaluation.synthetic import precision_at, scores

GOALS = [0.8, 0.9, 0.95]


def brute_force(logits: np.ndarray, truth: np.ndarray, goal: float | str) -> float:
    """Tries every logit as the threshold."""
    levels = sorted(set(logits.ravel().tolist()))
    rated = []
    for level in levels:
        accepted = logits >= level
        count, true = int(accepted.sum()), int((accepted & truth).sum())
        if goal == "f1":
            rated.append((2 * true / (count + truth.sum()), level))  # of equal F1, the highest level
        elif (count - true + 0.5) / count <= 1 - float(goal) + 1e-9:
            rated.append((-level, level))  # the lowest level
    if not rated:
        return np.inf
    chosen = max(rated)[1]
    lower = [level for level in levels if level < chosen]
    return (chosen + lower[-1]) / 2 if lower else chosen


@pytest.mark.parametrize("goal", [*GOALS, "f1"])
@pytest.mark.parametrize(("true", "digits"), [(3.0, 1), (3.0, 6), (0.0, 1), (8.0, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_that_of_trying_every_logit(goal, true, digits, seed):
    logits, truth, _ = scores(images=60, labels=4, true=true, several=0.2, seed=seed)
    logits = logits.astype(np.float64).round(digits)
    assert choose_threshold(logits, truth, goal) == pytest.approx(brute_force(logits, truth, goal))


@pytest.mark.parametrize("goal", [0.8, "f1"])
def test_the_threshold_is_the_same_in_one_block_of_rows_and_in_many(goal):
    logits, truth, _ = scores(images=9, labels=1_000_000, true=8.0)
    logits = logits.astype(np.float64).round(2)
    order = np.argsort(-logits, axis=None)[:1000]
    few = logits.ravel()[order][np.newaxis], truth.ravel()[order][np.newaxis]
    assert choose_threshold(logits, truth, goal) == choose_threshold(*few, goal)


@pytest.mark.parametrize(("goal", "needed"), [(0.8, 3), (0.9, 5), (0.95, 10)])
def test_a_precision_needs_evidence(goal, needed):
    logits, truth = np.arange(float(needed))[:, np.newaxis], np.ones((needed, 1), dtype=bool)
    assert choose_threshold(logits, truth, goal) == 0.0
    assert choose_threshold(logits[1:], truth[1:], goal) == np.inf


def test_a_false_answer_needs_more_evidence():
    logits, truth = np.arange(15.0)[:, np.newaxis], np.arange(15)[:, np.newaxis] != 5
    assert choose_threshold(logits, truth, 0.9) == 0.0
    assert choose_threshold(logits[1:], truth[1:], 0.9) == 5.5


def test_equal_scores_are_accepted_together_or_not_at_all():
    logits = np.array([[2.0]] * 10 + [[1.0]] * 10)
    truth = np.array([[True]] * 10 + [[True], [False]] * 5)
    assert choose_threshold(logits, truth, 0.9) == 1.5
    assert choose_threshold(logits, truth, 0.7) == 1.0
    assert choose_threshold(logits, truth, "f1") == 1.0


def test_without_a_true_answer_nothing_is_accepted():
    assert choose_threshold(np.ones((30, 2)), np.zeros((30, 2), dtype=bool), "f1") == np.inf


def test_the_images_that_a_label_needs_grow_with_the_asked_precision():
    assert [min_images(goal) for goal in ("f1", 0.5, 0.8, 0.9, 0.95, 0.99)] == [10, 10, 12, 20, 40, 200]


def test_a_label_with_too_few_images_takes_the_sets_threshold():
    logits, truth, _ = scores(images=400, labels=4)
    truth[np.flatnonzero(truth[:, 1])[9:]] = False
    chosen = choose_thresholds(logits, truth, "f1")
    assert chosen.for_labels[1] == chosen.for_set == choose_threshold(logits, truth, "f1")
    assert chosen.for_labels[2] == choose_threshold(logits[:, [2]], truth[:, [2]], "f1")
    assert chosen.images.tolist() == truth.sum(axis=0).tolist()


@pytest.mark.parametrize("asked", GOALS)
@pytest.mark.parametrize(("images", "true"), [(300, 3.0), (300, 4.0), (3000, 2.5)])
def test_one_threshold_reaches_the_asked_precision_within_five_points_on_the_other_half(asked, images, true):
    reached = []
    for seed in range(10):
        logits, truth, labels = scores(images=images, true=true, seed=seed)
        half = np.random.default_rng(seed).permutation(images) < images // 2
        tuned, _ = tune_thresholds(logits, truth, labels, asked, make_splits(truth, chosen_on=half))
        assert tuned.with_set_threshold.precision is not None
        reached.append(tuned.with_set_threshold.precision.value)
        assert tuned.threshold is not None
        exact = precision_at(float(np.log(tuned.threshold / (1 - tuned.threshold))), truth.mean(), true)
        assert exact > asked - 0.1
    assert abs(np.mean(reached) - asked) <= 0.05


@pytest.mark.parametrize("asked", GOALS)
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_a_threshold_a_label_reaches_the_asked_precision_within_five_points_on_the_other_half(asked, offset):
    right = accepted = 0.0
    for seed in range(10):
        logits, truth, labels = scores(images=1800, true=4.0, seed=seed)
        logits += offset * np.random.default_rng(99).normal(size=15).astype(np.float32)
        half = np.random.default_rng(seed).permutation(1800) < 900
        tuned, _ = tune_thresholds(logits, truth, labels, asked, make_splits(truth, chosen_on=half))
        counted = tuned.with_label_thresholds
        accepted += counted.accepted
        right += counted.accepted * counted.precision.value
    assert abs(right / accepted - asked) <= 0.05


def test_folds_report_about_what_new_images_show():
    logits, truth, labels = scores(images=1000, seed=1)
    tuned, _ = tune_thresholds(logits, truth, labels, 0.9, make_splits(truth))
    new_logits, new_truth, _ = scores(images=50_000, seed=2)
    accepted = new_logits >= np.log(tuned.threshold / (1 - tuned.threshold))
    assert tuned.held_out == "folds"
    assert tuned.with_set_threshold.images == 1000
    assert tuned.with_set_threshold.precision.value == pytest.approx(new_truth[accepted].mean(), abs=0.03)
    assert tuned.with_set_threshold.recall.value == pytest.approx(
        (accepted & new_truth).sum() / new_truth.sum(), abs=0.05
    )


def test_an_unreachable_label_accepts_nothing_and_is_reported():
    logits, truth, labels = scores(images=600, labels=3, true=6.0)
    logits[:, 2] = np.random.default_rng(0).normal(size=600)  # says nothing about the label
    tuned, warnings = tune_thresholds(logits, truth, labels, 0.9, make_splits(truth))
    assert [label.source for label in tuned.per_label] == ["label", "label", "unreachable"]
    assert (tuned.per_label[2].threshold, tuned.per_label[2].accepted) == (None, 0)
    assert [(warning.code, warning.labels) for warning in warnings] == [("precision_unreachable", [2])]


def test_an_unreachable_set_accepts_nothing():
    logits, truth, labels = scores(images=600, labels=3, true=0.0)
    tuned, warnings = tune_thresholds(logits, truth, labels, 0.95, make_splits(truth))
    assert tuned.threshold is None
    assert tuned.with_set_threshold.accepted <= 100  # a fold may find one
    assert "precision_unreachable" in [warning.code for warning in warnings]


def test_too_few_images_are_reported():
    tuned, warnings = tune_thresholds(np.eye(1), np.eye(1, dtype=bool), ["a"], "f1", make_splits(np.eye(1, dtype=bool)))
    assert (tuned.held_out, tuned.with_set_threshold, tuned.per_label[0].accepted) == (None, None, None)
    assert {warning.code: warning.labels for warning in warnings} == {"not_held_out": [], "too_few_images": [0]}


def test_a_threshold_that_misses_its_precision_on_other_images_is_reported():
    logits, truth, labels = scores(images=800, labels=2, true=6.0, none=0)
    other = np.arange(800) >= 400
    logits[other] += 5  # another camera
    _, warnings = tune_thresholds(logits, truth, labels, 0.9, make_splits(truth, chosen_on=~other))
    assert [warning.code for warning in warnings] == ["precision_missed"] * 2


def test_the_best_f1_of_separate_scores_is_found_half_way():
    logits = np.array([[4.0], [3.0], [1.0], [0.0]])
    truth = np.array([[True], [True], [False], [False]])
    tuned, _ = tune_thresholds(logits, truth, ["a"], "f1", make_splits(truth))
    assert (tuned.goal, tuned.asked) == ("f1", None)
    assert tuned.threshold == pytest.approx(1 / (1 + np.exp(-2.0)))


@pytest.mark.parametrize("goal", [0.0, 1.0, -1.0, 95.0, float("nan"), "F1", "precision", True])
def test_a_goal_is_f1_or_a_precision_between_0_and_1(goal):
    with pytest.raises(ValueError, match="goal must be"):
        check_goal(goal)
