"""Learning from examples: the fit against SciPy's optimiser, the choice of the strength, and how labels rank."""

import numpy as np
import pytest
from scipy.optimize import minimize

from model import few_shot, zero_shot
from model.few_shot import SINGLE_STRENGTH, STRENGTHS, fit, weakest
from tests.model.few_shot_sets import BIAS, NONE, SCALE, WIDTH, labelled, logits, text_alone, top_1, unit


def minimum(
    text: np.ndarray, positives: np.ndarray, negatives: np.ndarray, strength: float, centre: np.ndarray | float = 0.0
) -> tuple[np.ndarray, float]:
    """Returns the weights and the bias that minimise the objective in the module's docstring, by L-BFGS."""
    images = np.concatenate([positives, negatives]).astype(np.float64)
    signs = np.repeat([1.0, -1.0], [len(positives), len(negatives)])
    text = text.astype(np.float64)

    def objective(change: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (SCALE * (images @ text + (images - centre) @ change) + BIAS)
        slopes = -signs * np.exp(-np.logaddexp(0, margins)) * SCALE
        total = np.logaddexp(0, -margins).sum() + change @ change / (2 * strength**2)
        return total, slopes @ (images - centre) + change / strength**2

    found = minimize(objective, np.zeros(len(text)), jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-9})
    return text + found.x, BIAS - SCALE * found.x @ (centre + np.zeros(len(text)))


@pytest.mark.parametrize("examples", [[NONE] * 7, [[]] * 7])
@pytest.mark.parametrize("counterexamples", [None, [unit(np.eye(WIDTH)[:2])] * 7])
def test_without_examples_the_scores_are_the_same_bits_as_before(examples, counterexamples):
    texts, images = labelled(7, wrong=0.5)
    weights, biases = fit(texts, SCALE, BIAS, examples, counterexamples)
    for image in images[:, 0]:
        before, after = zero_shot.scores(image, texts, SCALE, BIAS), zero_shot.scores(image, weights, SCALE, biases)
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_labels_without_examples_keep_their_logits_bit_for_bit_next_to_labels_with_examples():
    texts, images = labelled(6, wrong=2.0)
    learned = fit(texts, SCALE, BIAS, [own[:3] if label < 3 else NONE for label, own in enumerate(images)])
    before, after = (logits(images[0], each) for each in (text_alone(texts), learned))
    np.testing.assert_array_equal(after[:, 3:], before[:, 3:])
    assert (np.abs(after[:, :3] - before[:, :3]) > 0.01).all()


@pytest.mark.parametrize("num_labels", [4, 40])
def test_a_label_with_one_example_gets_the_minimum_of_the_objective_with_the_fixed_strength(num_labels):
    """With 40 labels there are more images than dimensions, which takes the other way through the linear algebra."""
    texts, images = labelled(num_labels, wrong=1.0)
    learned = fit(texts, SCALE, BIAS, list(images[:, :1]))
    for label in range(4):
        others = np.delete(images[:, 0], label, axis=0)
        weights, bias = minimum(texts[label], images[label, :1], others, SINGLE_STRENGTH)
        np.testing.assert_allclose(learned.weights[label], weights, atol=2e-4)
        assert learned.biases[label] == pytest.approx(bias)


def test_in_a_mixed_set_images_are_centred_and_the_mean_image_keeps_its_logits():
    texts, images = labelled(6, wrong=1.0)
    examples = [own[:1] if label < 4 else NONE for label, own in enumerate(images)]
    unwanted = [images[5, :2], *[NONE] * 5]
    learned = fit(texts, SCALE, BIAS, examples, unwanted)
    centre = np.mean([*images[:4, 0], images[5, :2].mean(axis=0)], axis=0, dtype=np.float64)
    for label in range(4):
        others = np.concatenate([np.delete(images[:4, 0], label, axis=0), unwanted[label]])
        weights, bias = minimum(texts[label], images[label, :1], others, SINGLE_STRENGTH, centre)
        np.testing.assert_allclose(learned.weights[label], weights, atol=2e-4)
        assert learned.biases[label] == pytest.approx(bias, abs=5e-3)
    mean_image = centre.astype(np.float32)[np.newaxis]
    np.testing.assert_allclose(logits(mean_image, learned), logits(mean_image, text_alone(texts)), atol=1e-4)


def test_labels_with_and_without_examples_rank_together():
    """Half of the labels get examples. Their images are found more often, and the other labels' images stay found."""
    gains = []
    for seed in range(10):
        texts, images = labelled(10, wrong=2.0, seed=seed)
        learned = fit(texts, SCALE, BIAS, [own[:5] if label < 5 else NONE for label, own in enumerate(images)])
        gains.append(top_1(learned, images[:, 5:]) - top_1(text_alone(texts), images[:, 5:]))
    with_examples, without = np.mean(gains, axis=0).reshape(2, 5).mean(axis=1)
    assert with_examples > 0.1
    assert without > -0.1
    assert with_examples + without > 0.1


@pytest.mark.parametrize("wrong", [0.1, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("count", range(1, 11))
def test_examples_do_not_make_a_set_worse(wrong, count):
    """Texts that are nearly the centres of their labels leave nothing to learn; 0.005 is 5 of the 1,000 images."""
    sets = [labelled(10, wrong=wrong, seed=seed) for seed in range(5)]
    gains = [
        top_1(fit(texts, SCALE, BIAS, list(images[:, :count])), images[:, 10:]).mean()
        - top_1(text_alone(texts), images[:, 10:]).mean()
        for texts, images in sets
    ]
    assert np.mean(gains) > -0.005


def test_examples_help_if_texts_are_wrong_and_more_examples_help_more():
    accuracies = []
    for count in (0, 1, 2, 5, 10):
        sets = [labelled(10, wrong=2.0, seed=seed) for seed in range(5)]
        learned = [fit(texts, SCALE, BIAS, list(images[:, :count])) for texts, images in sets]
        accuracies.append(np.mean([top_1(one, images[:, 10:]) for one, (_, images) in zip(learned, sets, strict=True)]))
    assert accuracies == sorted(accuracies)
    assert accuracies[-1] > accuracies[0] + 0.2


def test_examples_of_another_label_are_followed():
    """A person's examples count, also if the texts say otherwise: the two labels change their meaning."""
    texts, images = labelled(2, wrong=0.3)
    swapped = fit(texts, SCALE, BIAS, list(images[::-1, :10]))
    assert (top_1(text_alone(texts), images[:, 10:]) == 1).all()
    assert (top_1(swapped, images[::-1, 10:]) > 0.9).all()


def test_examples_that_mislead_leave_the_text_alone():
    """Texts give all images the same logit. Each image is nearly an example of the next label, which misleads."""
    rng = np.random.default_rng(1)
    texts = unit(np.pad(rng.standard_normal((8, WIDTH // 2)), ((0, 0), (0, WIDTH // 2))))
    first = unit(np.pad(rng.standard_normal((8, WIDTH // 2)), ((0, 0), (WIDTH // 2, 0))))
    nearly = unit(first + 0.01 * first[::-1])
    even = -float(np.log(7))
    learned = fit(texts, SCALE, even, list(np.stack([first, np.roll(nearly, 1, axis=0)], axis=1)))
    np.testing.assert_array_equal(learned.weights, texts)
    np.testing.assert_array_equal(learned.biases, np.full(8, even, np.float32))


def test_leave_one_out_is_close_to_fitting_again_without_the_image():
    texts, images = labelled(5, wrong=1.0)
    positives, negatives = images[0, :3], images[1:, :3].reshape(-1, WIDTH)
    both = np.concatenate([positives, negatives]).astype(np.float64)
    losses = few_shot.fit_label(SCALE * both, np.arange(15), SCALE * both @ texts[0] + BIAS, 3).losses
    for strength in STRENGTHS[1:4]:
        expected = []
        for row, image in enumerate(both):
            kept = [np.delete(both, row, axis=0)[: 3 - (row < 3)], np.delete(both, row, axis=0)[3 - (row < 3) :]]
            weights, bias = minimum(texts[0], *kept, strength)
            expected.append(np.logaddexp(0, (-1 if row < 3 else 1) * (SCALE * image @ weights + bias)))
        np.testing.assert_allclose(losses[strength], expected, rtol=0.15, atol=0.03)


def test_the_weakest_strength_within_one_standard_error_of_the_lowest_loss_is_chosen():
    """Strength 1 exceeds the lowest by 0.6 with a standard error of 0.36, strength 2 by 0.2 and then 0.18 with 0.18."""

    def chosen(*tables: np.ndarray) -> int:
        return STRENGTHS.index(weakest([dict(zip(STRENGTHS, table, strict=True)) for table in tables]))

    losses = np.full((len(STRENGTHS), 5), 5.0)
    losses[3] = 1.0
    losses[1] = [3.0, 1.0, 2.0, 1.0, 1.0]
    assert chosen(losses) == 3
    losses[2] = [2.0, 1.0, 1.0, 1.0, 1.0]
    assert chosen(losses) == 3
    losses[2] = [2.0, 1.0, 1.0, 1.0, 0.9]
    assert chosen(losses[:, :2], losses[:, 2:]) == 2
    assert chosen() == 0


def test_a_counterexample_lowers_the_logit_of_images_like_it():
    texts, images = labelled(1, wrong=0.3)
    unlike = unit(texts + 0.8 * unit(np.random.default_rng(3).standard_normal((1, WIDTH))))
    learned = fit(texts, SCALE, BIAS, [images[0, :1]], [unlike])
    pair = np.concatenate([images[0, :1], unlike])
    after, before = (logits(pair, each)[:, 0] for each in (learned, text_alone(texts)))
    assert after[1] < before[1] - 1
    assert after[0] - after[1] > before[0] - before[1] + 1


def test_an_example_of_two_labels_is_a_negative_of_neither():
    texts, images = labelled(3, wrong=1.0)
    shared = images[0, :1]
    learned = fit(texts, SCALE, BIAS, [shared, shared, images[2, :1]])
    for label in (0, 1):
        weights, _ = minimum(texts[label], shared, images[2, :1], SINGLE_STRENGTH)
        np.testing.assert_allclose(learned.weights[label], weights, atol=2e-4)


def test_far_away_examples_of_many_other_labels_hardly_change_a_classifier():
    """Each label has 119 others, more than are used; the fit with all of them gives nearly the same logits."""
    texts, images = labelled(120, wrong=0.5)
    learned = fit(texts, SCALE, BIAS, list(images[:, :1]))
    for label in (0, 60):
        others = np.delete(images[:, 0], label, axis=0)
        weights, bias = minimum(texts[label], images[label, :1], others, SINGLE_STRENGTH)
        expected = SCALE * images[:, 1] @ weights + bias
        np.testing.assert_allclose(logits(images[:, 1], learned)[:, label], expected, atol=0.3)
