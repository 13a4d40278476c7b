"""Checked inputs of an evaluation, and the best labels of each image.

Ties are broken as in `numpy.argmax`: of equal scores, the label with the lower index comes first. A label is its index:
"missile" twice is two labels, and only one of them is right.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.floating]  # [N, K]: scale * cos + bias
Truth = NDArray[np.bool_]  # [N, K]: which labels are true for which image

BLOCK = 4_000_000  # numbers of a matrix that are worked on at once, to bound memory


class Answers(NamedTuple):
    """The best labels of each image; each field is [N]."""

    best: NDArray[np.intp]
    second: NDArray[np.intp]
    """The second-best label; equal to `best` if there is only one label."""
    true: NDArray[np.intp]
    """The true label with the highest score; -1 for an image without one."""
    rank: NDArray[np.intp]
    """How many labels come before it; -1 for an image without a true label."""


def check_scores(logits: NDArray[np.floating], truth: NDArray[np.bool_], labels: Sequence[str]) -> None:
    """Checks the inputs of an evaluation.

    Raises:
        ValueError: There are no images or labels, shapes differ, or a logit is NaN or infinite.
    """
    if logits.ndim != 2 or not np.issubdtype(logits.dtype, np.floating):
        raise ValueError("logits must be a float array of shape [images, labels]")
    if 0 in logits.shape:
        raise ValueError(f"there must be at least one image and one label. Received: shape {logits.shape}")
    if truth.shape != logits.shape or truth.dtype != bool:
        raise ValueError(
            f"truth must be a boolean array of shape {logits.shape}. Received: {truth.dtype} {truth.shape}"
        )
    if len(labels) != logits.shape[1]:
        raise ValueError(f"there must be one text for each of the {logits.shape[1]} labels. Received: {len(labels)}")
    for rows in row_blocks(logits):
        bad = np.flatnonzero(~np.isfinite(logits[rows]).all(axis=1))
        if len(bad):
            raise ValueError(f"logits must be finite numbers. Image {rows.start + bad[0] + 1} has NaN or infinity.")


def row_blocks(matrix: NDArray[np.generic]) -> Iterator[slice]:
    """Yields slices of rows, each with at most `BLOCK` numbers."""
    step = max(1, BLOCK // matrix.shape[1])
    for start in range(0, len(matrix), step):
        yield slice(start, start + step)


def find_answers(logits: Logits, truth: Truth) -> Answers:
    """Returns the best labels of each image, and the rank of its best true label."""
    found = []
    for rows in row_blocks(logits):
        scores = logits[rows]
        each = np.arange(len(scores))
        best = scores.argmax(axis=1)
        others = scores.copy()
        others[each, best] = -np.inf
        second = others.argmax(axis=1) if scores.shape[1] > 1 else best
        true = np.where(truth[rows], scores, -np.inf).argmax(axis=1)
        level = scores[each, true][:, np.newaxis]
        before = np.arange(scores.shape[1]) < true[:, np.newaxis]
        rank = ((scores > level) | ((scores == level) & before)).sum(axis=1)
        none = ~truth[rows].any(axis=1)
        true[none], rank[none] = -1, -1
        found.append((best, second, true, rank))
    return Answers(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
