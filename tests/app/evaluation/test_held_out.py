import numpy as np
import pytest

from app.evaluation.held_out import Tally
from app.evaluation.intervals import wilson
from tests.app.evaluation.synthetic import scores


def test_a_tally_of_parts_is_that_of_plain_counting():
    logits, truth, labels = scores(images=90, labels=5, several=0.2)
    thresholds = np.array([1.0, 2.0, np.inf, 0.0, 2.5])
    tally = Tally(len(labels))
    tally.add(logits[:30], truth[:30], thresholds)
    tally.add(logits[30:], truth[30:], thresholds)
    accepted = logits >= thresholds
    right, none = accepted & truth, ~truth.any(axis=1)
    found = tally.accepted()
    assert (found.images, found.accepted) == (90, accepted.sum())
    assert found.precision == wilson(int(right.sum()), int(accepted.sum()))
    assert found.recall == wilson(int(right.sum()), int(truth.sum()))
    assert found.f1 == pytest.approx(2 * right.sum() / (accepted.sum() + truth.sum()))
    assert found.coverage == pytest.approx(accepted.any(axis=1).mean())
    assert found.false_accept_rate == wilson(int(accepted[none].any(axis=1).sum()), int(none.sum()))
    assert tally.label(2) == (0, None, 0.0)
    assert tally.label(0) == (
        accepted[:, 0].sum(),
        *(right[:, 0].sum() / whole[:, 0].sum() for whole in (accepted, truth)),
    )


def test_nothing_accepted_and_nothing_true_is_unknown():
    tally = Tally(1)
    tally.add(np.array([[0.0]]), np.array([[False]]), np.inf)
    found = tally.accepted()
    assert (found.precision, found.recall, found.f1, found.coverage) == (None, None, None, 0.0)
    assert tally.label(0) == (0, None, None)
