"""How much examples help, measured on images that were not learnt from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.folds import make_splits
from app.evaluation.logits import class_logits
from model.few_shot import fit


class Learning(NamedTuple):
    """Top-1 accuracy of the same images: by text alone, and with the other images as examples."""

    images: int
    text: float
    examples: float


def measure_learning(
    embeddings: NDArray[np.float32],
    truth: NDArray[np.bool_],
    class_embeddings: NDArray[np.float32],
    scale: float,
    bias: float,
) -> Learning | None:
    """Returns the accuracies over stratified folds, or None if there are too few images for two folds.

    Args:
        embeddings: The images, [N, E].
        truth: Which labels they show, [N, K].
        class_embeddings: [K, E].
        scale: The model's temperature.
        bias: The model's bias.
    """
    hits = []
    for chosen_on, reported_on in make_splits(truth).splits:
        examples = [embeddings[chosen_on][shows] for shows in truth[chosen_on].T]
        learnt = fit(class_embeddings, scale, bias, examples)
        for weights, biases in ((class_embeddings, bias), learnt):
            best = class_logits(embeddings[reported_on], weights, scale, biases).argmax(axis=1)
            hits.append(truth[reported_on, best])
    if not hits:
        return None
    text, with_examples = np.concatenate(hits[::2]), np.concatenate(hits[1::2])
    return Learning(len(text), float(text.mean()), float(with_examples.mean()))
