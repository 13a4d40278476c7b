"""The pairwise sigmoid loss, compared with the algorithm in the paper."""

import keras
import numpy as np
import pytest

from model.network.loss import SigLIPLoss

LOGITS = np.random.default_rng(0).normal(0, 3, (4, 4)).astype(np.float32)


def paper_loss(logits: np.ndarray, positive: np.ndarray) -> float:
    """Algorithm 1 of arXiv 2303.15343: -sum(log_sigmoid(labels * logits)) / n."""
    labels = 2.0 * positive - 1.0
    return float(np.sum(np.log1p(np.exp(-labels * logits))) / len(logits))


@pytest.mark.parametrize(
    ("y_true", "positive"),
    [
        (np.arange(4), np.eye(4)),
        (np.arange(4)[:, None], np.eye(4)),
        (np.eye(4), np.eye(4)),
        (np.array([7, 3, 7, 5]), [[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]),
        (np.zeros(4), np.ones((4, 4))),
    ],
    ids=["ids", "ids in a column", "matrix", "two equal pairs", "all pairs equal"],
)
def test_the_loss_equals_the_algorithm_in_the_paper(y_true, positive):
    assert float(SigLIPLoss()(y_true, LOGITS)) == pytest.approx(
        paper_loss(LOGITS, np.asarray(positive, float)), rel=1e-5
    )


def test_logits_far_from_zero_give_a_finite_loss():
    assert float(SigLIPLoss()(np.arange(2), np.array([[-200.0, 200], [200, -200]], np.float32))) == pytest.approx(400)


def test_a_batch_of_one_pair_has_the_loss_log_2():
    assert float(SigLIPLoss()(np.array([5]), np.array([[0.0]], np.float32))) == pytest.approx(np.log(2))


def test_the_loss_can_be_serialised_and_restored():
    restored = keras.losses.deserialize(keras.losses.serialize(SigLIPLoss()))
    assert isinstance(restored, SigLIPLoss)
