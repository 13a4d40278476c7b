"""Thresholds on the sigmoid for an asked precision or for the best F1: one for the set, and one for each label.

A threshold is chosen on some images and reported on others. For an asked precision p, it is the lowest one at which

    (false + 0.5) / accepted <= 1 - p

The added half corrects for choosing: of many thresholds, the lowest that seems precise enough is often one that was
lucky. It also says how much evidence is needed. Without any false answer, 0.8 needs 3 accepted answers, 0.9 needs 5 and
0.95 needs 10. An example for an asked precision of 0.9:

    | accepted | false | (false + 0.5) / accepted |             |
    |----------|-------|--------------------------|-------------|
    | 4        | 0     | 0.125                    | not enough  |
    | 5        | 0     | 0.100                    | enough      |
    | 14       | 1     | 0.107                    | not enough  |
    | 15       | 1     | 0.100                    | enough      |

An estimate that also uses the probabilities of Platt scaling was tried. It was no better on synthetic scores, and on
real ones it accepted fewer answers, because a good label's best answers are better than a logistic curve expects.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.answers import Logits, Truth, row_blocks
from app.evaluation.folds import Splits
from app.evaluation.held_out import Accepted, Tally
from app.evaluation.result import Documented, Estimate, Warned
from model.zero_shot import sigmoid

Goal = float | Literal["f1"]  # an asked precision between 0 and 1, or the best F1

ADDED = 0.5  # false answers
MIN_IMAGES = 10  # of a label: with fewer, the standard error of its recall, and so of its F1, can exceed 0.16
# Times the accepted answers that reach an asked precision without any false one. With fewer images a label, labels that
# were only lucky would be a large part of what is accepted.
SPARE = 4


@dataclass(frozen=True, kw_only=True)
class LabelThreshold(Documented):
    """The threshold of one label."""

    index: int
    label: str
    threshold: float | None
    """On the sigmoid; null accepts nothing."""
    source: Literal["label", "set", "unreachable"]
    """`label`: chosen on its own images. `set`: it has too few images, so it takes the set's threshold. `unreachable`:
    no threshold reaches the asked precision."""
    images: int
    """Images with this label among those used for choosing."""
    accepted: int | None
    """On images not used for choosing; null if there are none."""
    precision: float | None
    recall: float | None


@dataclass(frozen=True, kw_only=True)
class Thresholds(Documented):
    """Thresholds on the sigmoid, and what they accept on images that were not used for choosing them."""

    goal: Literal["precision", "f1"]
    asked: float | None
    """The asked precision; null for the goal `f1`."""
    threshold: float | None
    """One threshold for all labels; null if the asked precision cannot be reached."""
    per_label: list[LabelThreshold]
    min_images: int
    """A label with fewer images takes the set's threshold."""
    held_out: Literal["folds", "part"] | None
    """`folds`: chosen on four of five folds and reported on the fifth, five times; `threshold` and `per_label` are then
    chosen on all images. `part`: chosen on the caller's part and reported on the rest."""
    with_set_threshold: Accepted | None
    with_label_thresholds: Accepted | None


def check_goal(goal: Goal) -> None:
    """Raises ValueError if the goal is not "f1" or a precision between 0 and 1."""
    if goal != "f1" and not (isinstance(goal, float) and 0 < goal < 1):
        raise ValueError(f'goal must be "f1" or a precision above 0 and below 1. Received: {goal!r}')


def min_images(goal: Goal) -> int:
    """Returns how many images a label needs for its own threshold: 12 for 0.8, 20 for 0.9, 40 for 0.95, 10 for F1."""
    return MIN_IMAGES if goal == "f1" else max(MIN_IMAGES, SPARE * ceil(round(ADDED / (1 - goal), 6)))


def choose_threshold(logits: Logits, truth: Truth, goal: Goal) -> float:
    """Returns a threshold on the logit for all answers of [N, K] arrays; infinity if none reaches the goal.

    It lies half-way between the lowest accepted logit and the next lower one, so that rounding does not matter.
    """
    trues = int(truth.sum())
    if not trues:
        return np.inf
    if goal == "f1":
        ranked = _rank(logits, truth, trues)
        # F1 is at most 2 * trues / (accepted + trues), so a longer list than this cannot have a better one.
        best = (2 * ranked.true / (ranked.accepted + trues)).max(initial=0)
        ranked = _rank(logits, truth, ceil(2 * trues / best) - trues if best else logits.size)
        chosen = int(np.argmax(2 * ranked.true / (ranked.accepted + trues)))
    else:
        ranked = _rank(logits, truth, ceil(trues / goal))  # a longer list cannot be precise enough
        # The small number is for rounding: 1 - 0.9 is a little less than 0.1.
        enough = ADDED + ranked.accepted - ranked.true <= (1 - goal) * ranked.accepted + 1e-9
        if not enough.any():
            return np.inf
        chosen = int(np.flatnonzero(enough)[-1])
    last = ranked.accepted[chosen] - 1
    return float(ranked.logits[last : last + 2].mean())


class Ranked(NamedTuple):
    """The highest logits, and what a threshold at each of their levels accepts."""

    logits: NDArray[np.float64]
    """The highest ones, descending, [M]."""
    accepted: NDArray[np.intp]
    """Answers at or above each level, [L]. Equal logits are one level, accepted together or not at all."""
    true: NDArray[np.intp]
    """The true ones among them, [L]."""


def _rank(logits: Logits, truth: Truth, count: int) -> Ranked:
    """Ranks the highest answers: all levels that accept at most `count`, and the one logit below them.

    Memory grows with `count`, not with the size of the matrix.
    """
    highest, true = np.empty(0, dtype=logits.dtype), np.empty(0, dtype=bool)
    for rows in row_blocks(logits):
        highest, true = np.append(highest, logits[rows]), np.append(true, truth[rows])
        if len(highest) > count + 1:
            kept = np.argpartition(-highest, count)[: count + 1]
            highest, true = highest[kept], true[kept]
    order = np.argsort(-highest, kind="stable")
    true, ranked = true[order], highest[order].astype(np.float64)
    ends = np.flatnonzero(ranked[1:] != ranked[:-1]) + 1
    if logits.size <= count:
        ends = np.append(ends, len(ranked))
    return Ranked(ranked, ends, np.cumsum(true)[ends - 1])


class Chosen(NamedTuple):
    """Thresholds on the logit; infinity accepts nothing."""

    for_set: float
    for_labels: NDArray[np.float64]
    """[K]: a label with too few images has the set's."""
    images: NDArray[np.intp]
    """[K]: the images of each label that they were chosen on."""


def choose_thresholds(logits: Logits, truth: Truth, goal: Goal) -> Chosen:
    """Returns the set's threshold, and one for each label."""
    for_set = choose_threshold(logits, truth, goal)
    images = truth.sum(axis=0)
    for_labels = np.full(len(images), for_set)
    for label in np.flatnonzero(images >= min_images(goal)):
        for_labels[label] = choose_threshold(logits[:, [label]], truth[:, [label]], goal)
    return Chosen(for_set, for_labels, images)


def tune_thresholds(
    logits: Logits, truth: Truth, labels: Sequence[str], goal: Goal, splits: Splits
) -> tuple[Thresholds, list[Warned]]:
    """Returns the thresholds, and what they accept on images that were not used for choosing."""
    by_set, by_label = Tally(len(labels)), Tally(len(labels))
    for chosen_on, reported_on in splits.splits:
        chosen = choose_thresholds(logits[chosen_on], truth[chosen_on], goal)
        by_set.add(logits[reported_on], truth[reported_on], chosen.for_set)
        by_label.add(logits[reported_on], truth[reported_on], chosen.for_labels)
    final = choose_thresholds(logits[splits.final], truth[splits.final], goal)
    per_label = [
        _label_threshold(index, label, final, by_label if splits.held_out else None, goal)
        for index, label in enumerate(labels)
    ]
    thresholds = Thresholds(
        goal="f1" if goal == "f1" else "precision",
        asked=None if goal == "f1" else goal,
        threshold=_on_sigmoid(final.for_set),
        per_label=per_label,
        min_images=min_images(goal),
        held_out=splits.held_out,
        with_set_threshold=by_set.accepted() if splits.held_out else None,
        with_label_thresholds=by_label.accepted() if splits.held_out else None,
    )
    return thresholds, list(_warnings(thresholds))


def _on_sigmoid(logit: float) -> float | None:
    return None if np.isinf(logit) else float(sigmoid(np.array(logit)))


def _label_threshold(index: int, label: str, final: Chosen, held_out: Tally | None, goal: Goal) -> LabelThreshold:
    threshold = _on_sigmoid(final.for_labels[index])
    own: Literal["label", "set"] = "label" if final.images[index] >= min_images(goal) else "set"
    accepted, precision, recall = held_out.label(index) if held_out else (None, None, None)
    return LabelThreshold(
        index=index,
        label=label,
        threshold=threshold,
        source="unreachable" if threshold is None else own,
        images=int(final.images[index]),
        accepted=accepted,
        precision=precision,
        recall=recall,
    )


def _warnings(thresholds: Thresholds) -> Iterable[Warned]:
    """Yields what a reader must know about the thresholds."""
    few = [label.index for label in thresholds.per_label if label.images < thresholds.min_images]
    unreachable = [label.index for label in thresholds.per_label if label.source == "unreachable"]
    if not thresholds.held_out:
        yield Warned("not_held_out", "There are too few images to report thresholds on images not used for choosing.")
    if few:
        reason = f"Labels with fewer than {thresholds.min_images} images: {len(few):,}. They take the set's threshold."
        yield Warned("too_few_images", reason, few)
    if unreachable:
        asked = f"the precision {thresholds.asked}"
        reason = f"Labels for which no threshold reaches {asked}: {len(unreachable):,}. They accept nothing."
        yield Warned("precision_unreachable", reason, unreachable)
    for name, accepted in (
        ("the set", thresholds.with_set_threshold),
        ("each label", thresholds.with_label_thresholds),
    ):
        if thresholds.asked is not None and accepted and _misses(accepted.precision, thresholds.asked):
            reason = f"With a threshold for {name}, the precision on held-out images is below {thresholds.asked}."
            yield Warned("precision_missed", reason)


def _misses(precision: Estimate | None, asked: float) -> bool:
    return precision is not None and precision.high is not None and precision.high < asked
