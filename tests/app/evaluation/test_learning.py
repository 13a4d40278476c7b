"""How much examples help, on sets whose answer is known."""

import numpy as np

from app.evaluation.learning import measure_learning

SCALE, BIAS = 20.0, -10.0


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clusters(per_label: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns images of three labels near three axes, and the truth."""
    rng = np.random.default_rng(0)
    axes = np.repeat(np.eye(8)[:3], per_label, axis=0)
    return unit(axes + 0.1 * rng.standard_normal(axes.shape)), np.repeat(np.eye(3, dtype=bool), per_label, axis=0)


def test_examples_help_if_the_texts_say_nothing():
    images, truth = clusters(10)
    texts = unit(np.eye(8)[3:6] + 0.01)  # orthogonal to all images
    learning = measure_learning(images, truth, texts, SCALE, BIAS)
    assert learning is not None
    assert (learning.images, learning.examples) == (30, 1.0)
    assert learning.text < 0.7


def test_good_texts_stay_good():
    images, truth = clusters(10)
    assert measure_learning(images, truth, unit(np.eye(8)[:3]), SCALE, BIAS) == (30, 1.0, 1.0)


def test_no_image_is_learnt_from_and_reported_on():
    rng = np.random.default_rng(1)
    images = unit(rng.standard_normal((40, 64)))  # noise: nothing can be learnt but by heart
    truth = np.zeros((40, 2), dtype=bool)
    truth[np.arange(40), rng.integers(0, 2, 40)] = True
    learning = measure_learning(images, truth, unit(rng.standard_normal((2, 64))), SCALE, BIAS)
    assert learning is not None
    assert 0.2 < learning.examples < 0.8


def test_one_image_is_too_few():
    images, truth = clusters(1)
    assert measure_learning(images[:1], truth[:1], unit(np.eye(8)[:3]), SCALE, BIAS) is None
