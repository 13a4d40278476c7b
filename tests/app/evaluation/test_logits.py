"""Embeddings to logits."""

import numpy as np
import pytest

from app.evaluation.logits import class_logits


def rows(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)


@pytest.mark.parametrize("bias", [-5.0, np.linspace(-3, 3, 300)])
def test_logits_are_scaled_cosines_with_the_models_bias_or_each_labels_own(bias):
    images, classes = rows(50, 0), rows(300, 1)
    logits = class_logits(images, classes, 10.0, bias)
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, 10 * images @ classes.T + bias, rtol=1e-4, atol=1e-3)


def test_equal_classes_get_equal_logits():
    classes = rows(300, 1)
    classes[[7, 150, 299]] = classes[3]
    logits = class_logits(rows(50, 0), classes, 10.0, -5.0)
    for place in (7, 150, 299):
        np.testing.assert_array_equal(logits[:, place], logits[:, 3])
