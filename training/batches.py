"""Random batches of images and texts, and which of them belong together."""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from model.text.tokenizer import SigLIPTokenizer, canonicalize
from training.augment import augment

TEMPLATES = (
    "This is a photo of {}.",
    "a photo of a {}",
    "a pictogram of {}",
    "an emoji of a {}",
    "a picture of the {}",
    "an icon of {}",
)
# A mirrored arrow or hand has another meaning; a mirrored cat is still a cat.
MIRRORED_GROUPS = {"animals-nature", "food-drink", "travel-places", "activities", "objects"}
VARIANT_WEIGHTS = {"original": 1.0, "outlined": 0.8, "line": 0.3}


class Corpus(NamedTuple):
    """The training data that `training.prepare` wrote.

    concepts: the C concepts; images: [M, R, R, 4] uint8; image_concepts, image_weights: [M];
    strings: every distinct text; belongs: [strings, C] bool, the concepts that a text may name;
    texts: per concept and language, the index of its name in strings, and the indices of its keywords.
    """

    concepts: list[dict]
    images: np.ndarray
    image_concepts: np.ndarray
    image_weights: np.ndarray
    strings: list[str]
    belongs: np.ndarray
    texts: list[dict[str, tuple[int, list[int]]]]


def read_corpus(build: Path) -> Corpus:
    """Returns the prepared data. Images stay on disk until they are used."""
    concepts = json.loads((build / "concepts.json").read_text(encoding="utf-8"))
    art = json.loads((build / "images.json").read_text(encoding="utf-8"))
    strings: dict[str, int] = {}
    owners: dict[str, set[int]] = {}
    texts: list[dict[str, tuple[int, list[int]]]] = []
    for concept, entry in enumerate(concepts):
        by_language = {}
        for language, words in entry["texts"].items():
            indices = []
            for text in (words["name"], *words["keywords"]):
                owners.setdefault(canonicalize(text), set()).add(concept)
                indices.append(strings.setdefault(text, len(strings)))
            by_language[language] = (indices[0], indices[1:])
        texts.append(by_language)
    belongs = np.zeros((len(strings), len(concepts)), bool)
    for text, index in strings.items():
        belongs[index, list(owners[canonicalize(text)])] = True
    return Corpus(
        concepts=concepts,
        images=np.load(build / "images.npy", mmap_mode="r"),
        image_concepts=np.array([image["concept"] for image in art]),
        image_weights=np.array([VARIANT_WEIGHTS[image["variant"]] for image in art]),
        strings=list(strings),
        belongs=belongs,
        texts=texts,
    )


class Batches(keras.utils.PyDataset):
    """Images and texts of random concepts; an epoch is `steps` batches of an endless stream.

    The training sets `difficulty`, 0 to 1, which rises over time. A batch is `(inputs, targets)` with inputs
    `{"images": [B, S, S, 3] uint8, "token_ids": [B, L] int32}` and targets `{"pairs": [B, B], "image_concepts":
    [B, C], "text_concepts": [B, C]}`, rows of the latter two summing to 1.
    """

    def __init__(self, corpus: Corpus, tokenizer: SigLIPTokenizer, *, batch_size: int, steps: int, seed: int):
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
        self.corpus, self.tokenizer, self.batch_size, self.steps = corpus, tokenizer, batch_size, steps
        self.rng = np.random.default_rng(seed)
        self.difficulty = 0.1
        self.languages = list(corpus.texts[0])
        english = np.array([3.0 if language == "en" else 1.0 for language in self.languages])
        self.language_weights = english / english.sum()
        self.images = []
        for concept in range(len(corpus.concepts)):
            indices = np.flatnonzero(corpus.image_concepts == concept)
            weights = corpus.image_weights[indices]
            self.images.append((indices, weights / weights.sum()))
        self.mirrored = np.array([concept["group"] in MIRRORED_GROUPS for concept in corpus.concepts])

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int):
        rng, corpus = self.rng, self.corpus
        concepts = rng.choice(len(corpus.concepts), self.batch_size, replace=len(corpus.concepts) < self.batch_size)
        images = [rng.choice(indices, p=weights) for indices, weights in (self.images[c] for c in concepts)]
        strings = [self.pick_text(concept) for concept in concepts]
        belongs = corpus.belongs[strings]  # [B, C]
        inputs = {
            "images": augment(corpus.images[images], self.mirrored[concepts], self.difficulty, rng),
            "token_ids": self.tokenizer([self.in_a_template(corpus.strings[string]) for string in strings]),
        }
        targets = {
            "pairs": belongs[:, concepts].T.astype(np.float32),  # [B images, B texts]
            "image_concepts": np.eye(len(corpus.concepts), dtype=np.float32)[concepts],
            "text_concepts": (belongs / belongs.sum(axis=1, keepdims=True)).astype(np.float32),
        }
        return inputs, targets

    def pick_text(self, concept: int) -> int:
        """Returns the index of a random text of the concept: about half of the time a name, most often in English."""
        name, keywords = self.corpus.texts[concept][self.rng.choice(self.languages, p=self.language_weights)]
        return name if not keywords or self.rng.random() < 0.55 else int(self.rng.choice(keywords))

    def in_a_template(self, text: str) -> str:
        """Returns the text alone, in the service's default template, or in a random one."""
        draw = self.rng.random()
        if draw < 0.4:
            return text
        return (TEMPLATES[0] if draw < 0.7 else self.rng.choice(TEMPLATES)).replace("{}", text)
