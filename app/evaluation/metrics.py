"""Accuracy, precision, recall, F1, average precision and confusions of logits against the truth.

scikit-learn computes what it has.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.evaluation.answers import Answers, Logits, Truth, row_blocks
from app.evaluation.intervals import (
    MAX_WORK,
    MIN_REPLICATES,
    REPLICATES,
    Decisions,
    mean_average_precisions,
    percentile_interval,
    resampled,
    wilson,
)
from app.evaluation.result import Documented, Estimate

MAX_CONFUSIONS = 10_000  # pairs of labels in a result


@dataclass(frozen=True, kw_only=True)
class Data(Documented):
    """The images that were evaluated."""

    images: int
    none_images: int
    """Images without any true label ("none of these")."""
    labels: int
    labels_without_images: list[int]
    """Indices of labels without an image. They compete as answers, but are left out of all macro averages."""
    multi_label: bool
    """True if at least one image has several true labels."""
    decision: Literal["top1", "sigmoid_0.5"]
    """What counts as a predicted label in precision, recall and F1: the best label of each image with a true label, or,
    for multi-label data, every label with a sigmoid of at least 0.5."""


@dataclass(frozen=True, kw_only=True)
class Summary(Documented):
    """Numbers for the whole set. Images without a true label are left out of top-1, top-5 and, for the decision `top1`,
    of precision, recall and F1. They count as negatives in average precision."""

    top1: Estimate | None
    """Share of images whose best label is true. Wilson interval."""
    top5: Estimate | None
    """Share of images with a true label among the best five; null for five labels or fewer, where it is always 1."""
    macro_precision: Estimate | None
    """Mean over the labels with images; a label that is never predicted counts as 0. Bootstrap interval."""
    macro_recall: Estimate | None
    macro_f1: Estimate | None
    map: Estimate | None
    """Mean average precision over the labels with images. Bootstrap interval, null for very large sets."""
    false_accept_rate: Estimate | None
    """Share of the images without a true label for which some label has a sigmoid of at least 0.5."""


@dataclass(frozen=True, kw_only=True)
class LabelMetrics(Documented):
    """Numbers for one label; null if the label has no images."""

    index: int
    label: str
    support: int
    """Images with this label."""
    predicted: int
    """Images for which this label was predicted, see `data.decision`."""
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None


@dataclass(frozen=True)
class Confusion(Documented):
    """Images of one label whose best label is another one, which is not true."""

    true: int
    """Index of the true label; for an image with several, of the one with the highest score."""
    predicted: int
    images: int


def describe_data(truth: Truth) -> Data:
    """Returns what the truth says about the images."""
    labels_of = truth.sum(axis=1)
    multi_label = bool((labels_of > 1).any())
    decision: Literal["top1", "sigmoid_0.5"] = "sigmoid_0.5" if multi_label else "top1"
    return Data(
        images=len(truth),
        none_images=int((labels_of == 0).sum()),
        labels=truth.shape[1],
        labels_without_images=np.flatnonzero(~truth.any(axis=0)).tolist(),
        multi_label=multi_label,
        decision=decision,
    )


def predictions(logits: Logits, truth: Truth, answers: Answers, data: Data) -> NDArray[np.bool_]:
    """Returns the predicted labels, [N, K], as `data.decision` defines them."""
    if data.decision == "sigmoid_0.5":
        return logits >= 0
    predicted = np.zeros(truth.shape, dtype=bool)
    known = np.flatnonzero(answers.true >= 0)
    predicted[known, answers.best[known]] = True
    return predicted


def label_metrics(
    logits: Logits, truth: Truth, labels: Sequence[str], answers: Answers, data: Data
) -> list[LabelMetrics]:
    """Returns precision, recall, F1 and average precision of each label."""
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support

    support = truth.sum(axis=0)
    predicted = predictions(logits, truth, answers, data).sum(axis=0)
    known = answers.true >= 0
    if data.multi_label:
        shares = precision_recall_fscore_support(truth, logits >= 0, average=None, zero_division=0)
    elif known.any():
        indices = np.arange(len(labels))
        shares = precision_recall_fscore_support(
            answers.true[known], answers.best[known], labels=indices, average=None, zero_division=0
        )
    measured = []
    for index, label in enumerate(labels):
        precision = recall = f1 = average_precision = None
        if support[index]:
            precision, recall, f1 = (float(share[index]) for share in shares[:3])
            average_precision = float(average_precision_score(truth[:, index], logits[:, index]))
        measured.append(
            LabelMetrics(
                index=index,
                label=label,
                support=int(support[index]),
                predicted=int(predicted[index]),
                precision=precision,
                recall=recall,
                f1=f1,
                average_precision=average_precision,
            )
        )
    return measured


def macro_average(values: Sequence[float | None]) -> float | None:
    """Returns the mean of the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def bootstrap_map_replicates(truth: Truth) -> int:
    """Returns how many replicates of mean average precision are affordable; 0 if too few for an interval."""
    affordable = MAX_WORK // max(1, len(truth) * int(truth.any(axis=0).sum()))
    return min(REPLICATES, affordable) if affordable >= MIN_REPLICATES else 0


def summarize(logits: Logits, truth: Truth, per_label: Sequence[LabelMetrics], answers: Answers, data: Data) -> Summary:
    """Returns the numbers for the whole set, with intervals."""
    known = answers.true >= 0
    images = int(known.sum())
    precision, recall, f1, mean_ap = (
        macro_average([getattr(label, name) for label in per_label])
        for name in ("precision", "recall", "f1", "average_precision")
    )
    macros: list[Estimate | None] = [None] * 4
    if precision is not None and recall is not None and f1 is not None and mean_ap is not None:
        decisions = Decisions(predictions(logits, truth, answers, data), truth)
        drawn = np.concatenate([decisions.macro(weights) for weights in resampled(len(truth), REPLICATES)])
        macros = [percentile_interval(value, drawn[:, i]) for i, value in enumerate((precision, recall, f1))]
        weights_blocks = resampled(len(truth), bootstrap_map_replicates(truth))
        drawn_map = [mean_average_precisions(logits, truth, weights) for weights in weights_blocks]
        macros.append(percentile_interval(mean_ap, np.concatenate([*drawn_map, np.empty(0)])))
    accepted = sum(int((logits[rows][~known[rows]] >= 0).any(axis=1).sum()) for rows in row_blocks(logits))
    return Summary(
        top1=wilson(int((answers.rank[known] < 1).sum()), images),
        top5=wilson(int((answers.rank[known] < 5).sum()), images) if logits.shape[1] > 5 else None,
        macro_precision=macros[0],
        macro_recall=macros[1],
        macro_f1=macros[2],
        map=macros[3],
        false_accept_rate=wilson(accepted, len(truth) - images),
    )


def confusions(answers: Answers, num_labels: int) -> tuple[list[Confusion], int]:
    """Returns the most frequent confusions, at most `MAX_CONFUSIONS`, and how many pairs of labels are left out.

    The pairs are counted without a [K, K] matrix, which would have 100 million entries for 10,000 labels.
    """
    wrong = answers.rank > 0
    pairs, counts = np.unique(answers.true[wrong] * num_labels + answers.best[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MAX_CONFUSIONS]
    listed = [
        Confusion(int(pair // num_labels), int(pair % num_labels), int(count))
        for pair, count in zip(pairs[order], counts[order], strict=True)
    ]
    return listed, len(pairs) - len(listed)
