"""Embeddings to scores as a client gets them. Pure NumPy; shared by the service and the command line."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from app.schemas import ClassifyOptions, ImageFacts, Score, ScoredImage, rounded
from model import zero_shot


def prompt_means(embeddings: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Returns class embeddings [K, E]: for each label the mean of its texts.

    Args:
        embeddings: The texts of all labels, [N, E].
        counts: The number of texts of each of the K labels; they sum to N.
    """
    ends = list(accumulate(counts))
    means = [zero_shot.class_embeddings(own[np.newaxis]) for own in np.split(embeddings, ends[:-1])]
    return np.concatenate(means)


def scored_image(
    facts: ImageFacts, labels: Sequence[str], scores: zero_shot.Scores, options: ClassifyOptions
) -> ScoredImage:
    """Returns one image's scores: the best label first, cut by the options' `threshold` and `top_k`."""
    logits, sigmoid, softmax = scores
    order = np.argsort(-logits, kind="stable")
    if options.threshold is not None:
        order = order[sigmoid[order] >= options.threshold]
    return ScoredImage(
        image=facts,
        scores=[
            Score(label=labels[i], logit=rounded(logits[i]), sigmoid=rounded(sigmoid[i]), softmax=rounded(softmax[i]))
            for i in order[: options.top_k]
        ],
    )
