"""The figures of the model card, on logits whose accuracy is known."""

import numpy as np
import pytest

from training.evaluate import figures, fill, n_way


def test_a_perfect_model_is_always_right_and_a_blind_one_as_often_as_chance() -> None:
    truth = np.arange(40)
    allowed = ~np.eye(40, dtype=bool)
    rng = np.random.default_rng(0)
    assert n_way(np.eye(40), truth, allowed, 10, rng) == 1.0
    blind = rng.standard_normal((400, 40))
    assert n_way(blind, np.tile(truth, 10), allowed, 10, rng) == pytest.approx(0.1, abs=0.04)


def test_a_tie_is_no_hit() -> None:
    assert n_way(np.zeros((5, 12)), np.arange(5), ~np.eye(12, dtype=bool), 10, np.random.default_rng(0)) == 0.0


def test_a_concept_of_the_same_name_is_no_distractor() -> None:
    names = ["Cat", "cat!", *(f"thing {i}" for i in range(120))]
    logits = np.full((1, 122), -9.0)
    logits[0, :2] = 0.0, 5.0  # its namesake scores higher
    row = figures(logits, np.array([0]), names)
    assert row["10_way"] == 1.0
    assert row["sigmoid_true"] == pytest.approx(0.5)
    assert row["sigmoid_distractor"] == pytest.approx(1 / (1 + np.exp(9.0)))


def test_the_card_keeps_its_words_and_gets_new_figures() -> None:
    card = "a\n<!-- evaluation -->\nold\n<!-- /evaluation -->\nb"
    assert fill(card, "evaluation", "new") == "a\n<!-- evaluation -->\nnew\n<!-- /evaluation -->\nb"
    with pytest.raises(ValueError, match="attribution"):
        fill(card, "attribution", "new")
