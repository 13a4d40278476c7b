"""Embeddings to scores as a client gets them. Pure NumPy; shared by the service and the command line."""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from app.inference.acceptance import AcceptedLabel, TunedImage, TunedScore, Tuning
from app.schemas import ImageFacts, LabelOptions, Score, ScoredImage, rounded
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
    facts: ImageFacts,
    labels: Sequence[str],
    scores: zero_shot.Scores,
    options: LabelOptions,
    tuning: Tuning | None = None,
) -> ScoredImage:
    """Returns one image's scores, and with a tuning what is accepted; see `sorted_scores`."""
    if tuning is None:
        return ScoredImage(image=facts, scores=sorted_scores(labels, scores, options))
    return TunedImage(
        image=facts,
        scores=tuned_scores(labels, scores, options, tuning),
        accepted_labels=accepted_labels(labels, scores, tuning),
    )


def sorted_scores(labels: Sequence[str], scores: zero_shot.Scores, options: LabelOptions) -> list[Score]:
    """Returns the scores of one embedding: the best label first, cut by the options' `threshold` and `top_k`."""
    logits, sigmoid, softmax = scores
    return [
        Score(label=labels[i], logit=rounded(logits[i]), sigmoid=rounded(sigmoid[i]), softmax=rounded(softmax[i]))
        for i in shown_labels(scores, options)
    ]


def tuned_scores(
    labels: Sequence[str], scores: zero_shot.Scores, options: LabelOptions, tuning: Tuning
) -> list[TunedScore]:
    """Returns the scores of one embedding as `sorted_scores` does, with `accepted` and `probability`."""
    logits, sigmoid, softmax = scores
    shown = shown_labels(scores, options)
    return [
        TunedScore(
            label=labels[i],
            logit=rounded(logits[i]),
            sigmoid=rounded(sigmoid[i]),
            softmax=rounded(softmax[i]),
            accepted=accepted,
            probability=probability,
        )
        for i, (accepted, probability) in zip(shown, tuning.answers(scores, shown), strict=True)
    ]


def accepted_labels(labels: Sequence[str], scores: zero_shot.Scores, tuning: Tuning) -> list[AcceptedLabel] | None:
    """Returns the accepted ones of all labels, the best first; None if no label has a threshold."""
    accepted = tuning.accepted(scores)
    return None if accepted is None else [AcceptedLabel(index=index, label=labels[index]) for index in accepted]


def shown_labels(scores: zero_shot.Scores, options: LabelOptions) -> np.ndarray:
    """Returns the indices of the labels in a response: the best first, cut by the options."""
    order = np.argsort(-scores.logits, kind="stable")
    if options.threshold is not None:
        order = order[scores.sigmoid[order] >= options.threshold]
    return order[: options.top_k]
