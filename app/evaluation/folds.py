"""Which images thresholds and calibration are chosen on, and which ones they are reported on.

The two never share an image. Images of one group, such as copies of one file, are never separated.

Source: iterative stratification, Sechidis et al. (2011), with a fixed order of the labels: the rarest first.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
SEED = 0


class Split(NamedTuple):
    """Rows to choose on, and rows to report on."""

    chosen_on: NDArray[np.intp]
    reported_on: NDArray[np.intp]


class Splits(NamedTuple):
    """The splits of an evaluation, and the rows that the final choice is made on."""

    held_out: Literal["folds", "part"] | None
    splits: list[Split]
    final: NDArray[np.intp]


def stratified_folds(
    truth: NDArray[np.bool_], groups: Sequence[int] | NDArray[np.integer] | None = None, folds: int = FOLDS
) -> NDArray[np.intp]:
    """Returns a fold for each image, [N]. Each label's images are spread evenly; so are images without a label.

    Args:
        truth: [N, K].
        groups: [N]; images with equal numbers get the same fold. Default: each image is its own group.
        folds: The number of folds.
    """
    images = len(truth)
    _, group = np.unique(np.arange(images) if groups is None else np.asarray(groups), return_inverse=True)
    sizes = np.bincount(group)
    rows, columns = np.nonzero(truth)
    pairs = np.unique(np.stack([group[rows], columns]), axis=1)  # group, label: sorted by group
    labels_of = np.split(pairs[1], np.searchsorted(pairs[0], np.arange(1, len(sizes))))
    support = np.bincount(pairs[1], minlength=truth.shape[1])
    rarest = [own[np.argmin(support[own])] if len(own) else truth.shape[1] for own in labels_of]
    frequency = np.append(support, len(sizes) + 1)  # groups without a label come last
    # A random order within a label: neighbouring images are often alike.
    order = np.random.default_rng(SEED).permutation(len(sizes))
    order = order[np.lexsort((np.take(rarest, order), frequency[np.take(rarest, order)]))]
    held = np.zeros((folds, truth.shape[1] + 1), dtype=np.intp)
    filled = np.zeros(folds, dtype=np.intp)
    fold_of = np.zeros(len(sizes), dtype=np.intp)
    for unit in order:
        fold = np.lexsort((filled, held[:, rarest[unit]]))[0]
        fold_of[unit] = fold
        held[fold, labels_of[unit] if len(labels_of[unit]) else truth.shape[1]] += 1
        filled[fold] += sizes[unit]
    return fold_of[group]


def make_splits(
    truth: NDArray[np.bool_],
    groups: Sequence[int] | NDArray[np.integer] | None = None,
    chosen_on: NDArray[np.bool_] | None = None,
) -> Splits:
    """Returns five stratified folds, or the caller's own part.

    Without enough images for two folds, there are no splits: nothing can be reported honestly.

    Args:
        truth: [N, K].
        groups: See `stratified_folds`.
        chosen_on: [N]; True for the images to choose on, the others are reported on.

    Raises:
        ValueError: `chosen_on` or `groups` has a wrong shape, one of the parts is empty, or a group is in both parts.
    """
    everything = np.arange(len(truth))
    if groups is not None and np.shape(groups) != (len(truth),):
        raise ValueError(f"groups must have one number for each of the {len(truth)} images")
    if chosen_on is not None:
        if chosen_on.shape != (len(truth),) or chosen_on.dtype != bool:
            raise ValueError(f"chosen_on must be a boolean array of {len(truth)} images")
        if chosen_on.all() or not chosen_on.any():
            raise ValueError("chosen_on must leave images for choosing and images for reporting")
        if groups is not None and np.intersect1d(np.asarray(groups)[chosen_on], np.asarray(groups)[~chosen_on]).size:
            raise ValueError("copies of an image are in both parts of chosen_on: move all copies to the same part")
        split = Split(np.flatnonzero(chosen_on), np.flatnonzero(~chosen_on))
        return Splits("part", [split], split.chosen_on)
    fold_of = stratified_folds(truth, groups)
    used = np.unique(fold_of)
    if len(used) < 2:
        return Splits(None, [], everything)
    splits = [Split(np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)) for fold in used]
    return Splits("folds", splits, everything)
