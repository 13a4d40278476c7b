"""The cache of label lists."""

import numpy as np

from app.inference.label_lists import LABEL_BYTES, EmbeddedLabels, LabelLists

TEMPLATES = ["a {}"]
ENTRY_BYTES = 2 * 2 * 4 + 4 * len("catdog") + 2 * LABEL_BYTES + 4 * len("a {}") + LABEL_BYTES


def embedded(value: float = 1.0) -> EmbeddedLabels:
    return EmbeddedLabels(np.full((2, 2), value, np.float32), [], 1, 1)


def test_a_list_is_found_with_the_same_labels_in_the_same_order_and_the_same_templates():
    lists = LabelLists(1_000)
    lists.put(["cat", "dog"], TEMPLATES, embedded())
    found = lists.get(["cat", "dog"], TEMPLATES)
    assert found is not None
    assert (found.hits, found.misses) == (2, 0)
    assert np.array_equal(found.embeddings, embedded().embeddings)
    for labels, templates in (
        (["dog", "cat"], TEMPLATES),
        (["cat"], TEMPLATES),
        (["cat", "dog"], ["the {}"]),
        (["cat", "dog", "a {}"], []),
    ):
        assert lists.get(labels, templates) is None


def test_the_least_recently_used_list_is_dropped():
    lists = LabelLists(2 * ENTRY_BYTES)
    for first in ("cat", "cow"):
        lists.put([first, "dog"], TEMPLATES, embedded())
    assert lists.bytes == 2 * ENTRY_BYTES
    lists.get(["cat", "dog"], TEMPLATES)
    lists.put(["pig", "dog"], TEMPLATES, embedded())
    assert [bool(lists.get([first, "dog"], TEMPLATES)) for first in ("cat", "cow", "pig")] == [True, False, True]
    assert lists.bytes == 2 * ENTRY_BYTES


def test_without_memory_nothing_is_kept():
    lists = LabelLists(0)
    lists.put(["cat", "dog"], TEMPLATES, embedded())
    assert (lists.get(["cat", "dog"], TEMPLATES), lists.bytes) == (None, 0)


def test_a_list_that_is_kept_twice_counts_once():
    lists = LabelLists(10 * ENTRY_BYTES)
    for _ in range(2):
        lists.put(["cat", "dog"], TEMPLATES, embedded())
    assert lists.bytes == ENTRY_BYTES
