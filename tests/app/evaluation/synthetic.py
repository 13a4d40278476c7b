"""Scores with known distributions: true labels N(true, 1), false labels N(0, 1), shifted by `offset` for each label."""

from typing import NamedTuple

import numpy as np
from scipy.stats import norm


class Scores(NamedTuple):
    logits: np.ndarray
    truth: np.ndarray
    labels: list[str]


def scores(
    images: int = 600, labels: int = 15, true: float = 3.0, none: float = 0.1, several: float = 0.0, seed: int = 0
) -> Scores:
    """Returns scores [images, labels]; `none` and `several` are the shares of images with no and with more labels."""
    chance = np.random.default_rng(seed)
    truth = np.zeros((images, labels), dtype=bool)
    truth[np.arange(images), chance.integers(labels, size=images)] = True
    extra = chance.random(images) < several
    truth[extra] |= chance.random((int(extra.sum()), labels)) < 0.2
    truth[chance.random(images) < none] = False
    logits = chance.normal(size=truth.shape) + true * truth
    return Scores(logits.astype(np.float32), truth, [f"label {index}" for index in range(labels)])


def precision_at(threshold: float, prevalence: float, true: float) -> float:
    """Returns the exact precision of all answers with a logit of at least `threshold`."""
    accepted_true, accepted_false = norm.sf(threshold - true) * prevalence, norm.sf(threshold) * (1 - prevalence)
    return float(accepted_true / (accepted_true + accepted_false))


def looped_average_precision(scored: np.ndarray, true: np.ndarray) -> float:
    """Returns average precision by its definition: the sum over thresholds of (recall gained) x precision."""
    total, recall_before = 0.0, 0.0
    for level in sorted(set(scored.tolist()), reverse=True):
        accepted = [bool(t) for s, t in zip(scored.tolist(), true.tolist(), strict=True) if s >= level]
        recall = sum(accepted) / sum(true.tolist())
        total += (recall - recall_before) * sum(accepted) / len(accepted)
        recall_before = recall
    return total
