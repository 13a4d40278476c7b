"""Learning from examples: degenerate sets, many labels, determinism, and input that is refused."""

import tracemalloc

import numpy as np
import pytest

from model.few_shot import fit
from tests.model.few_shot_sets import BIAS, NONE, SCALE, WIDTH, labelled, logits, top_1, unit


def test_the_same_input_gives_the_same_bits_and_is_not_changed():
    texts, images = labelled(9, wrong=1.0)
    texts.flags.writeable = images.flags.writeable = False
    first, second = (fit(texts, SCALE, BIAS, [own[: 1 + i % 4] for i, own in enumerate(images)]) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (first.weights.dtype, first.biases.dtype) == (np.float32, np.float32)


TEXTS, IMAGES = labelled(3, wrong=1.0)
ALIKE = unit(IMAGES[0, :1] + 1e-6 * np.arange(10)[:, np.newaxis])


@pytest.mark.parametrize(
    ("examples", "counterexamples", "unchanged"),
    [
        pytest.param([IMAGES[0, :5], NONE, NONE], None, [0, 1, 2], id="no negatives"),
        pytest.param([NONE, NONE, NONE], [IMAGES[1, :2], NONE, NONE], [0, 1, 2], id="counterexamples alone"),
        pytest.param(
            [NONE, IMAGES[1, :2], NONE], [IMAGES[1, :2], NONE, NONE], [0, 1, 2], id="negatives without examples"
        ),
        pytest.param([IMAGES[0, :1], IMAGES[0, :1], IMAGES[0, :1]], None, [0, 1, 2], id="one image for all labels"),
        pytest.param([IMAGES[0, :1], NONE, NONE], [IMAGES[1, :1], NONE, NONE], [1, 2], id="one example"),
        pytest.param([IMAGES[0, :3], NONE, NONE], [IMAGES[0, :3], NONE, NONE], [1, 2], id="the same as both"),
        pytest.param([IMAGES[0, :1], NONE, NONE], [IMAGES[0, :1], NONE, NONE], [1, 2], id="one image as both"),
        pytest.param([IMAGES[0, :30], IMAGES[1, :1], NONE], None, [2], id="uneven"),
        pytest.param([ALIKE[:5], ALIKE[5:], NONE], None, [2], id="nearly equal images of two labels"),
        pytest.param([TEXTS[:1], -TEXTS[:1], NONE], None, [2], id="opposite images"),
    ],
)
@pytest.mark.parametrize("scale", [1.0, SCALE, 1e4])
def test_degenerate_sets_give_finite_classifiers(examples, counterexamples, unchanged, scale):
    learned = fit(TEXTS, scale, BIAS, examples, counterexamples)
    assert np.isfinite(learned.weights).all()
    assert np.isfinite(learned.biases).all()
    np.testing.assert_array_equal(learned.weights[unchanged], TEXTS[unchanged])
    np.testing.assert_array_equal(learned.biases[unchanged], np.float32(BIAS))


def test_a_set_of_one_label_learns_from_its_counterexamples():
    texts, images = labelled(2, wrong=2.0)
    learned = fit(texts[:1], SCALE, BIAS, [images[0, :10]], [images[1, :10]])
    own, others = (logits(each[10:], learned)[:, 0] for each in images)
    assert np.mean(own > others.max()) > 0.9


def test_identical_images_count_once():
    once, often = (
        fit(TEXTS, SCALE, BIAS, [own[:2].repeat(count, axis=0) for own in IMAGES], [IMAGES[1, :1]] * 3)
        for count in (1, 5)
    )
    np.testing.assert_array_equal(once.weights, often.weights)


def test_a_thousand_examples_of_a_label_work():
    texts, images = labelled(2, wrong=2.0, per_label=1_200)
    learned = fit(texts, SCALE, BIAS, list(images[:, :1_000]))
    assert top_1(learned, images[:, 1_000:]).mean() > 0.9


@pytest.mark.slow
def test_the_memory_for_many_labels_is_bounded():
    """The inner products of all images would take 32 MB, and the images of all fits 130 MB."""
    rng = np.random.default_rng(0)
    texts, images = unit(rng.standard_normal((2_000, 128))), unit(rng.standard_normal((2_000, 1, 128)))
    tracemalloc.start()
    try:
        learned = fit(texts, SCALE, BIAS, list(images))
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (learned.weights != texts).any(axis=1).all()
    assert peak_bytes < 25_000_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TEXTS[0], [NONE]), r"class_embeddings must be \[K, E\]"),
        ((TEXTS, [NONE]), "examples must have one array per label. Received: 1 for 3 labels"),
        ((TEXTS, [NONE] * 3, [NONE]), "counterexamples must have one array per label"),
        ((TEXTS, [NONE] * 3, []), "counterexamples must have one array per label"),
        ((TEXTS, [NONE, IMAGES[0, 0], NONE]), r"examples of label 2 must be \[n, 24\]. Received: shape \(24,\)"),
        ((TEXTS, [NONE, IMAGES[0, :2, :9], NONE]), r"examples of label 2 must be \[n, 24\]"),
        ((TEXTS, [2 * IMAGES[0], NONE, NONE]), "examples of label 1 must be L2-normalised. Received: 30 that are not"),
        ((TEXTS, [np.full((1, WIDTH), np.nan), NONE, NONE]), "L2-normalised. Received: 1 that are not"),
        ((TEXTS, [NONE] * 3, [NONE, NONE, 0 * IMAGES[0, :2]]), "counterexamples of label 3 must be L2-normalised"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit(arguments[0], SCALE, BIAS, *arguments[1:])
