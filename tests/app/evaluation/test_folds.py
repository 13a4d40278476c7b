import numpy as np
import pytest

from app.evaluation.folds import make_splits, stratified_folds
from tests.app.evaluation.synthetic import scores


@pytest.mark.parametrize("images", [15, 73, 600])
def test_each_labels_images_are_spread_evenly(images):
    _, truth, _ = scores(images=images)
    fold_of = stratified_folds(truth)
    for column in [*truth.T, ~truth.any(axis=1)]:
        counts = np.bincount(fold_of[column], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_several_labels_an_image_are_spread_almost_evenly():
    _, truth, _ = scores(several=0.5)
    fold_of = stratified_folds(truth)
    for column in truth.T:
        counts = np.bincount(fold_of[column], minlength=5)
        assert counts.max() - counts.min() <= 0.25 * counts.sum()
    sizes = np.bincount(fold_of)
    assert sizes.max() - sizes.min() <= 0.2 * sizes.mean()


def test_folds_are_the_same_each_time_and_do_not_follow_the_order_of_the_images():
    _, truth, _ = scores(images=100, labels=1, none=0)
    fold_of = stratified_folds(truth)
    assert (fold_of == stratified_folds(truth)).all()
    assert len(np.unique(fold_of[:20])) == 5


def test_images_of_one_group_stay_together():
    _, truth, _ = scores(images=200, several=0.2)
    groups = np.random.default_rng(1).integers(60, size=200) * 7
    fold_of = stratified_folds(truth, groups)
    assert all(len(np.unique(fold_of[groups == group])) == 1 for group in np.unique(groups))
    assert len(np.unique(fold_of)) == 5


def test_splits_choose_and_report_on_different_images_and_report_on_each_once():
    _, truth, _ = scores(images=53)
    held_out, splits, final = make_splits(truth)
    assert (held_out, len(splits), final.tolist()) == ("folds", 5, list(range(53)))
    for chosen_on, reported_on in splits:
        assert sorted([*chosen_on, *reported_on]) == list(range(53))
    assert sorted(np.concatenate([split.reported_on for split in splits])) == list(range(53))


def test_a_callers_part_is_the_only_split():
    chosen_on = np.array([True, False, True, False])
    held_out, [split], final = make_splits(np.eye(4, dtype=bool), chosen_on=chosen_on)
    assert held_out == "part"
    assert (split.chosen_on.tolist(), split.reported_on.tolist(), final.tolist()) == ([0, 2], [1, 3], [0, 2])


def test_a_single_image_or_group_cannot_be_split():
    assert make_splits(np.ones((1, 2), dtype=bool)) == (None, [], np.array([0]))
    assert make_splits(np.eye(3, dtype=bool), groups=[5, 5, 5]).held_out is None


@pytest.mark.parametrize(
    ("groups", "chosen_on", "message"),
    [
        ([1, 2], None, "groups must have one number for each of the 3 images"),
        (None, np.array([True, False]), "chosen_on must be a boolean array of 3 images"),
        (None, np.array([1, 0, 0]), "chosen_on must be a boolean array of 3 images"),
        (None, np.array([True, True, True]), "must leave images"),
        (None, np.array([False, False, False]), "must leave images"),
        ([1, 1, 2], np.array([True, False, False]), "copies of an image are in both parts"),
    ],
)
def test_wrong_parts_are_refused(groups, chosen_on, message):
    with pytest.raises(ValueError, match=message):
        make_splits(np.eye(3, dtype=bool), groups, chosen_on)
