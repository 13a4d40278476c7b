"""The figures of the model card, computed from logits with a known accuracy."""

import numpy as np
import pytest

from training.evaluate import figures, fill, n_way


def test_n_way_accuracy_is_1_for_perfect_logits_and_1_in_n_for_random_ones() -> None:
    truth = np.arange(40)
    allowed = ~np.eye(40, dtype=bool)
    rng = np.random.default_rng(0)
    assert n_way(np.eye(40), truth, allowed, 10, rng) == 1.0
    random_logits = rng.standard_normal((400, 40))
    assert n_way(random_logits, np.tile(truth, 10), allowed, 10, rng) == pytest.approx(0.1, abs=0.04)


def test_a_tie_is_not_a_hit() -> None:
    assert n_way(np.zeros((5, 12)), np.arange(5), ~np.eye(12, dtype=bool), 10, np.random.default_rng(0)) == 0.0


def test_a_concept_with_the_same_name_is_not_a_distractor() -> None:
    names = ["Cat", "cat!", *(f"thing {i}" for i in range(120))]
    logits = np.full((1, 122), -9.0)
    logits[0, :2] = 0.0, 5.0  # the other concept with this name scores higher
    row = figures(logits, np.array([0]), names)
    assert row["10_way"] == 1.0
    assert row["sigmoid_true"] == pytest.approx(0.5)
    assert row["sigmoid_distractor"] == pytest.approx(1 / (1 + np.exp(9.0)))


def test_fill_replaces_only_the_section_between_the_comments() -> None:
    card = "a\n<!-- evaluation -->\nold\n<!-- /evaluation -->\nb"
    assert fill(card, "evaluation", "new") == "a\n<!-- evaluation -->\nnew\n<!-- /evaluation -->\nb"
    with pytest.raises(ValueError, match="attribution"):
        fill(card, "attribution", "new")
