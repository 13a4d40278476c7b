"""The lists of labels that were used most recently, with their class embeddings: most clients send the same list again.

A list that is found is neither tokenised nor looked up label by label: for 1,000 labels, that takes longer than all the
rest of a request. It runs on the event loop, so there is no lock.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.schemas import ResponseWarning

LABEL_BYTES = 100  # Python's memory for a text in addition to its characters

Key = tuple[tuple[str, ...], tuple[str, ...]]


class EmbeddedLabels(NamedTuple):
    """Class embeddings [K, E], warnings about the labels, and the cache hits and misses of their prompts."""

    embeddings: np.ndarray
    warnings: list[ResponseWarning]
    hits: int
    misses: int


class LabelLists:
    """A cache of label lists.

    Args:
        max_bytes: The memory for labels and embeddings; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lists: dict[Key, EmbeddedLabels] = {}  # the most recently used one is last
        self.bytes = 0

    def get(self, labels: Sequence[str], templates: Sequence[str]) -> EmbeddedLabels | None:
        """Returns a list's embeddings, or None. All its prompts count as cache hits."""
        key = tuple(labels), tuple(templates)
        if not (found := self._lists.pop(key, None)):
            return None
        self._lists[key] = found
        return found._replace(hits=found.hits + found.misses, misses=0)

    def put(self, labels: Sequence[str], templates: Sequence[str], found: EmbeddedLabels) -> None:
        """Keeps a list, unless it is too large."""
        key = tuple(labels), tuple(templates)
        if entry_bytes(key, found) > self._max_bytes or key in self._lists:
            return
        self._lists[key] = found
        self.bytes += entry_bytes(key, found)
        while self.bytes > self._max_bytes:
            oldest = next(iter(self._lists))
            self.bytes -= entry_bytes(oldest, self._lists.pop(oldest))


def entry_bytes(key: Key, found: EmbeddedLabels) -> int:
    """Returns the memory of one list."""
    return found.embeddings.nbytes + sum(4 * len(text) + LABEL_BYTES for texts in key for text in texts)
