"""What thresholds accept on images that were not used for choosing them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.evaluation.answers import Logits, Truth, row_blocks
from app.evaluation.intervals import wilson
from app.evaluation.result import Documented, Estimate


@dataclass(frozen=True, kw_only=True)
class Accepted(Documented):
    """What thresholds accepted on images that were not used for choosing them."""

    images: int
    accepted: int
    """Accepted answers, over all labels of all images."""
    precision: Estimate | None
    """Share of the accepted answers that are true. Wilson interval."""
    recall: Estimate | None
    """Share of the true answers that are accepted. Wilson interval."""
    f1: float | None
    coverage: float
    """Share of images with at least one accepted label."""
    false_accept_rate: Estimate | None
    """Share of the images without a true label that have an accepted label. Wilson interval."""


class Tally:
    """Counts what thresholds accept, split by split."""

    def __init__(self, num_labels: int) -> None:
        self._accepted, self._right, self._true = (np.zeros(num_labels, dtype=np.int64) for _ in range(3))
        self._images = self._covered = self._none = self._none_covered = 0

    def add(self, logits: Logits, truth: Truth, thresholds: NDArray[np.float64] | float) -> None:
        """Counts images [N, K] with thresholds on the logit, [K] or one for all."""
        for rows in row_blocks(logits):
            accepted, true = logits[rows] >= thresholds, truth[rows]
            self._accepted += accepted.sum(axis=0)
            self._right += (accepted & true).sum(axis=0)
            self._true += true.sum(axis=0)
            covered, none = accepted.any(axis=1), ~true.any(axis=1)
            self._images += len(true)
            self._covered += int(covered.sum())
            self._none += int(none.sum())
            self._none_covered += int((covered & none).sum())

    def accepted(self) -> Accepted:
        """Returns the counts as shares with intervals."""
        accepted, right, true = (int(counts.sum()) for counts in (self._accepted, self._right, self._true))
        return Accepted(
            images=self._images,
            accepted=accepted,
            precision=wilson(right, accepted),
            recall=wilson(right, true),
            f1=2 * right / (accepted + true) if accepted + true else None,
            coverage=self._covered / self._images,
            false_accept_rate=wilson(self._none_covered, self._none),
        )

    def label(self, index: int) -> tuple[int, float | None, float | None]:
        """Returns one label's accepted answers, precision and recall."""
        accepted, right, true = (int(counts[index]) for counts in (self._accepted, self._right, self._true))
        return accepted, right / accepted if accepted else None, right / true if true else None
