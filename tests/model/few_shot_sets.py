"""Toy label sets for the tests of learning from examples, and their scores."""

import numpy as np

from model import zero_shot
from model.few_shot import Classifiers, fit

SCALE, BIAS, WIDTH = 27.5, -6.25, 24
NONE = np.empty((0, WIDTH), np.float32)


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def labelled(num_labels: int, *, wrong: float, seed: int = 0, per_label: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Returns texts [K, E] and images [K, per_label, E]; `wrong` is how far a text is from its label's images."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.standard_normal((num_labels, WIDTH)))
    texts = unit(centres + wrong * unit(rng.standard_normal((num_labels, WIDTH))))
    noise = 0.8 * unit(rng.standard_normal((num_labels, per_label, WIDTH)))
    return texts, unit(centres[:, np.newaxis] + noise)


def logits(images: np.ndarray, classifiers: Classifiers) -> np.ndarray:
    """Returns the logits of B images, [B, K], as the service computes them."""
    weights, biases = classifiers
    return np.stack([zero_shot.scores(image, weights, SCALE, biases).logits for image in images])


def text_alone(texts: np.ndarray) -> Classifiers:
    return fit(texts, SCALE, BIAS, [NONE] * len(texts))


def top_1(classifiers: Classifiers, images: np.ndarray) -> np.ndarray:
    """Returns the accuracy for each label's images, [K]."""
    hits = logits(images.reshape(-1, WIDTH), classifiers).argmax(axis=1).reshape(images.shape[:2])
    return np.mean(hits == np.arange(len(images))[:, np.newaxis], axis=1)
