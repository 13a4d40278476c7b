"""The positive pairs of a batch, with a corpus of three concepts. Two of the concepts share a keyword."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.batches import Batches, Corpus, read_corpus

CONCEPTS = [
    {"name": "cat", "group": "animals-nature", "texts": {"en": {"name": "cat", "keywords": ["pet"]}}},
    {"name": "dog", "group": "animals-nature", "texts": {"en": {"name": "dog", "keywords": ["Pet!"]}}},
    {"name": "car", "group": "travel-places", "texts": {"en": {"name": "car", "keywords": []}}},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    (tmp_path / "concepts.json").write_text(json.dumps(CONCEPTS), encoding="utf-8")
    art = [{"concept": concept, "set": "test", "variant": "original"} for concept in range(3)]
    (tmp_path / "images.json").write_text(json.dumps(art), encoding="utf-8")
    images = np.full((3, 96, 96, 4), 255, np.uint8)
    images[..., 0] = np.array([0, 100, 200])[:, None, None]
    np.save(tmp_path / "images.npy", images)
    return read_corpus(tmp_path)


def numbered(texts: list[str]) -> np.ndarray:
    """A fake tokenizer: returns for each text the index of its word, [K, 1]."""
    return np.array(
        [[next(i for i, word in enumerate(("cat", "dog", "car", "pet")) if word in t.lower())] for t in texts]
    )


def test_a_text_belongs_to_every_concept_that_has_it_as_a_name_or_keyword(corpus: Corpus) -> None:
    belongs = {text: corpus.belongs[i].tolist() for i, text in enumerate(corpus.strings)}
    assert belongs == {
        "cat": [True, False, False],
        "pet": [True, True, False],
        "dog": [False, True, False],
        "Pet!": [True, True, False],
        "car": [False, False, True],
    }


def test_every_image_and_text_of_the_same_concept_are_a_positive_pair(corpus: Corpus) -> None:
    batches = Batches(corpus, numbered, batch_size=3, steps=20, seed=0)
    members = {0: {0}, 1: {1}, 2: {2}, 3: {0, 1}}
    seen = set()
    for index in range(len(batches)):
        inputs, targets = batches[index]
        concepts = targets["image_concepts"].argmax(axis=1)
        for j, word in enumerate(inputs["token_ids"][:, 0]):
            seen.add(int(word))
            expected = [float(concept in members[int(word)]) for concept in concepts]
            np.testing.assert_array_equal(targets["pairs"][:, j], expected)
            assert set(np.flatnonzero(targets["text_concepts"][j])) == members[int(word)]
        np.testing.assert_allclose(targets["text_concepts"].sum(axis=1), 1.0)
        assert inputs["images"].shape == (3, 64, 64, 3)
    assert seen == {0, 1, 2, 3}, "all names and keywords were drawn"
