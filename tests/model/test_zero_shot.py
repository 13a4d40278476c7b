"""Zero-shot scoring: labels and templates to scores."""

import numpy as np
import pytest

from model.zero_shot import DEFAULT_TEMPLATES, class_embeddings, prompts, scores, sigmoid

UNIT = np.random.default_rng(0).normal(0, 1, (3, 4, 8)).astype(np.float32)
UNIT /= np.linalg.norm(UNIT, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    ("labels", "templates", "expected"),
    [
        (["cat"], DEFAULT_TEMPLATES, ["This is a photo of cat."]),
        (["cat", "dog"], ["a {}", "the {}"], ["a cat", "the cat", "a dog", "the dog"]),
        (["cat"], ["a {} and a {}"], ["a cat and a cat"]),
        (["{}"], ["a {} in {}"], ["a {} in {}"]),
        (["cat"], ["{0.__class__} {}"], ["{0.__class__} cat"]),
        (["100% {x}"], ["{}"], ["100% {x}"]),
        (["cat"], ["no place"], ["no place"]),
        ([], ["{}"], []),
    ],
)
def test_prompts_insert_labels_literally_and_are_ordered_by_label(labels, templates, expected):
    assert prompts(labels, templates) == expected


def test_with_one_template_the_class_embedding_is_its_text_embedding():
    np.testing.assert_array_equal(class_embeddings(UNIT[:, :1]), UNIT[:, 0])


def test_the_embeddings_of_several_templates_are_averaged_and_normalised_again():
    mean = UNIT.mean(axis=1)
    np.testing.assert_allclose(class_embeddings(UNIT), mean / np.linalg.norm(mean, axis=-1, keepdims=True), rtol=1e-6)


def test_embeddings_that_cancel_out_do_not_give_nan():
    opposite = np.stack([UNIT[:, 0], -UNIT[:, 0]], axis=1)
    assert np.isfinite(class_embeddings(opposite)).all()


def test_logits_are_scaled_cosines_plus_bias_and_softmax_ignores_the_bias():
    image, classes = UNIT[0, 0], UNIT[:, 1]
    with_bias, without = scores(image, classes, 117.0, -12.9), scores(image, classes, 117.0, 0.0)
    np.testing.assert_allclose(with_bias.logits, 117 * classes @ image - 12.9, rtol=1e-5)
    np.testing.assert_allclose(with_bias.softmax, without.softmax, atol=1e-6)
    assert with_bias.softmax.sum() == pytest.approx(1)
    np.testing.assert_allclose(with_bias.sigmoid, 1 / (1 + np.exp(-np.float64(with_bias.logits))), rtol=1e-5)
    assert all(field.dtype == np.float32 for field in with_bias)


def test_a_single_label_has_softmax_1_and_a_sigmoid_below_1():
    single = scores(UNIT[0, 0], UNIT[:1, 1], 100.0, -10.0)
    assert single.softmax.tolist() == [1.0]
    assert 0 < single.sigmoid[0] < 1


def test_the_sigmoid_does_not_overflow():
    with np.errstate(all="raise"):
        values = sigmoid(np.array([-80, 0, 80], np.float32))
    np.testing.assert_allclose(values, [0, 0.5, 1], atol=1e-30)


def test_sigmoid_of_a_published_logit_is_the_published_probability():
    """base-224, an image of two cats and "a photo of 2 cats": logit -0.7567, published as "31.9%"."""
    assert sigmoid(np.array([-0.7567, -10.3354])) == pytest.approx([0.31937, 3.2463e-5], rel=1e-3)


@pytest.mark.parametrize(("count", "width"), [(1001, 768), (333, 192), (5, 1152)])
def test_equal_class_embeddings_score_equally_at_every_position(count, width):
    rng = np.random.default_rng(0)
    image, label = rng.standard_normal((2, width)).astype(np.float32)
    assert len(np.unique(scores(image, np.tile(label, (count, 1)), 1.0, 0.0).logits)) == 1
