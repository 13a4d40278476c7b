"""Embeddings of images to the logits of an evaluation."""

import numpy as np

from app.evaluation.answers import Logits


def class_logits(embeddings: np.ndarray, weights: np.ndarray, scale: float, bias: np.ndarray | float) -> Logits:
    """Returns [N, K] float32, `scale * cos + bias`. Equal classes get equal logits.

    In a matrix product, the last bit of a number depends on its place, so each class is computed once.

    Args:
        embeddings: N images, [N, E] float32, L2-normalised.
        weights: K classes, [K, E] float32: class embeddings, or weights that were learnt from examples.
        scale: The model's temperature, already exponentiated.
        bias: Added after scaling; one number, or [K].
    """
    unique, place = np.unique(weights, axis=0, return_inverse=True)
    cosines: np.ndarray = embeddings @ unique.T
    return (np.float32(scale) * cosines)[:, place.reshape(-1)] + np.asarray(bias, np.float32)
