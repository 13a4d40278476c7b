"""Prompts, class embeddings and scores, in NumPy. The library, the service and the tests all use this module.

It must not import Keras or TensorFlow: compared with a tower, a [K, E] x [E] product costs nothing.

Oracle: Hugging Face's `zero-shot-image-classification` pipeline for one template; for several templates
big_vision's evaluator `discriminative_classifier` (mean of normalised embeddings, normalised again).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DEFAULT_TEMPLATES = ("This is a photo of {}.",)


class Scores(NamedTuple):
    """The scores of one image for K labels; each field is [K] float32."""

    logits: np.ndarray
    sigmoid: np.ndarray
    softmax: np.ndarray


def prompts(labels: Sequence[str], templates: Sequence[str] = DEFAULT_TEMPLATES) -> list[str]:
    """Returns K * T prompts, label-major: first all prompts of the first label, then those of the second.

    `{}` is replaced literally, not by `str.format`, so a template cannot read Python attributes:

    | label | template            | prompt              |
    |-------|---------------------|---------------------|
    | `cat` | `a photo of a {}.`  | `a photo of a cat.` |
    | `{}`  | `a {} in {}`        | `a {} in {}`        |
    | `cat` | `{0.__class__} {}`  | `{0.__class__} cat` |
    """
    return [template.replace("{}", label) for label in labels for template in templates]


def class_embeddings(text_embeddings: np.ndarray) -> np.ndarray:
    """Returns one normalised embedding per label, the mean over its templates.

    Args:
        text_embeddings: [K, T, E] float32, L2-normalised along E.

    Returns:
        [K, E] float32, L2-normalised. With one template they are its embeddings, unchanged.
    """
    if text_embeddings.shape[1] == 1:
        return text_embeddings[:, 0]
    mean: np.ndarray = text_embeddings.mean(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    return mean


def scores(image_embedding: np.ndarray, weights: np.ndarray, scale: float, bias: float | np.ndarray) -> Scores:
    """Returns the logits, sigmoids and softmax of one image for K labels.

    `logit = scale * cos + bias`. The sigmoid answers "does this label fit?" for each label independently; sigmoids do
    not sum to 1. The softmax answers "which of these labels?"; it sums to 1. Labels that learnt from examples
    (`few_shot`) have other weights than their class embeddings, and biases of their own.

    Args:
        image_embedding: [E] float32, L2-normalised.
        weights: [K, E] float32, K >= 1: class embeddings, which are L2-normalised, or learnt weights.
        scale: The temperature, already exponentiated.
        bias: Added after scaling; one number, or [K].
    """
    # Not a matrix product: its last bit depends on the row's index, but a repeated label must get the same score.
    cosines = np.vecdot(weights, image_embedding)
    logits = np.float32(scale) * cosines + np.asarray(bias, np.float32)
    exponentials = np.exp(logits - logits.max())
    return Scores(logits, sigmoid(logits), exponentials / exponentials.sum())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-logits)), without overflow for any logit."""
    probabilities: np.ndarray = np.exp(-np.logaddexp(0, -logits))
    return probabilities
