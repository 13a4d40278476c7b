"""Embeddings to what a client is told: pure NumPy and the contract; the service and the command line share it."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from app.schemas import ClassifyOptions, ImageFacts, Score, ScoredImage, shown
from model import zero_shot


class Classification(NamedTuple):
    """Scores per label, in the order of the labels."""

    scores: zero_shot.Scores

    def order(self, top_k: int | None = None, threshold: float | None = None) -> np.ndarray:
        """Returns indices by falling logit, equal ones in order, cut by `threshold` on the sigmoid and by `top_k`."""
        order = np.argsort(-self.scores.logits, kind="stable")
        if threshold is not None:
            order = order[self.scores.sigmoid[order] >= threshold]
        return order[:top_k]


def prompt_means(embeddings: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Returns class embeddings [K, E] of K labels, of which each has as many of the texts [N, E] as `counts` says."""
    ends = list(accumulate(counts))
    means = [zero_shot.class_embeddings(own[np.newaxis]) for own in np.split(embeddings, ends[:-1])]
    return np.concatenate(means)


def scored_image(
    facts: ImageFacts, labels: Sequence[str], classification: Classification, options: ClassifyOptions
) -> ScoredImage:
    """Returns one image's scores as the client gets them, the best first, cut as the options say."""
    logits, sigmoid, softmax = classification.scores
    return ScoredImage(
        image=facts,
        scores=[
            Score(label=labels[i], logit=shown(logits[i]), sigmoid=shown(sigmoid[i]), softmax=shown(softmax[i]))
            for i in classification.order(options.top_k, options.threshold)
        ],
    )
