"""Labels to scores, in NumPy: the one recipe that the library, the service and the tests share.

This room may not import Keras or TensorFlow: a [K, E] x [E] product is nothing beside a tower.

Oracle: Hugging Face's `zero-shot-image-classification` pipeline for one template; for several templates
big_vision's evaluator `discriminative_classifier` (mean of normalised embeddings, normalised again).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

DEFAULT_TEMPLATES = ("This is a photo of {}.",)


class Scores(NamedTuple):
    """What SigLIP says about one image, per label; each field is [K] float32."""

    logits: np.ndarray
    sigmoid: np.ndarray
    softmax: np.ndarray


def prompts(labels: Sequence[str], templates: Sequence[str] = DEFAULT_TEMPLATES) -> list[str]:
    """Returns K * T prompts, label-major: all templates of the first label, then of the second.

    `{}` is replaced literally, never formatted, so a template cannot reach into Python:

    | label | template            | prompt              |
    |-------|---------------------|---------------------|
    | `cat` | `a photo of a {}.`  | `a photo of a cat.` |
    | `{}`  | `a {} in {}`        | `a {} in {}`        |
    | `cat` | `{0.__class__} {}`  | `{0.__class__} cat` |
    """
    return [template.replace("{}", label) for label in labels for template in templates]


def class_embeddings(text_embeddings: np.ndarray) -> np.ndarray:
    """Returns one normalised embedding a label, the mean over its templates.

    Args:
        text_embeddings: [K, T, E] float32, L2-normalised along E.

    Returns:
        [K, E] float32, L2-normalised. One template is returned as it is.
    """
    if text_embeddings.shape[1] == 1:
        return text_embeddings[:, 0]
    mean: np.ndarray = text_embeddings.mean(axis=1)
    mean /= np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)
    return mean


def scores(image_embedding: np.ndarray, class_embeddings: np.ndarray, scale: float, bias: float) -> Scores:
    """Returns logit, sigmoid and softmax of one image for K labels.

    `logit = scale * cos + bias`. The sigmoid answers "does this label fit?" for each label alone and does not sum
    to 1; the softmax answers "which of these labels?" and does, and the bias cancels in it.

    Args:
        image_embedding: [E] float32, L2-normalised.
        class_embeddings: [K, E] float32, L2-normalised; K >= 1.
        scale: The temperature, already exponentiated.
        bias: Added after scaling.
    """
    # Not a matrix product, whose last bit depends on a row's place: the same label twice must score the same.
    cosines = np.vecdot(class_embeddings, image_embedding)
    logits = np.float32(scale) * cosines + np.float32(bias)
    exponentials = np.exp(logits - logits.max())
    return Scores(logits, sigmoid(logits), exponentials / exponentials.sum())


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Returns 1 / (1 + exp(-logits)), without overflow at either end."""
    probabilities: np.ndarray = np.exp(-np.logaddexp(0, -logits))
    return probabilities
