"""Compares the constants of `model/few_shot.py` on art that the embedded checkpoint was trained on.

    python -m benchmarks.few_shot_constants     writes benchmarks/results/few_shot_constants.json; takes about ten
                                                minutes on two cores

`python -m training.prepare` renders the art. A set has 15 labels: random concepts, or groups of concepts. Each label
has 20 images, made from three training drawings. The kinds of sets differ in what was done to the images or labels, so
that the text alone is sometimes good and sometimes poor. There are six sets of each kind, and each is split four times
at random into examples and test images.

`SINGLE_STRENGTH` is for one example a label, and the last of `STRENGTHS` for 2, 5 and 10. The rule: the highest mean
difference from the text alone, of all kinds and whether all or half of the labels have examples. Excluded are values
that are worse than the text alone by more than one standard error on a kind where all labels have examples.

The rule is not older than the tables. First it was the highest mean alone, with examples of all labels. Then it
excluded values that make a set worse, which gives a `SINGLE_STRENGTH` of 0.25 instead of 0.5. Sets where half of the
labels have examples were added last, after `benchmarks/few_shot.py` had shown that strengths up to 1 are worse than up
to 0.5 in such sets of OpenMoji.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from tqdm import tqdm

from benchmarks.few_shot import Labelled, accuracies, embedded_encoder, text_embeddings
from benchmarks.machine import machine, versions
from model import few_shot
from model.engines.encoder import Encoder
from training.augment import augment, sketch
from training.batches import MIRRORED_GROUPS
from training.evaluate import BUILD, in_batches

RESULTS = Path(__file__).parent / "results/few_shot_constants.json"
SETS, SPLITS, LABELS, DRAWINGS, IMAGES = 6, 4, 15, 3, 20
MIN_GROUP = 3  # concepts of a group that can be a label
SINGLE_STRENGTHS = (0.06, 0.12, 0.18, 0.25, 0.35, 0.5)
LADDER = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
SHORTEST_LADDER = 4  # ends at 0.12


class Kind(NamedTuple):
    """How the images are made: `training.augment` at a difficulty, then a change of the images, [B, S, S, 3] uint8."""

    difficulty: float
    change: Callable[[np.ndarray], np.ndarray] = lambda images: images
    labels: str = "concepts"


def coarse(images: np.ndarray) -> np.ndarray:
    """Returns the images with squares of 4 x 4 pixels."""
    means = images.reshape(len(images), 16, 4, 16, 4, 3).mean(axis=(2, 4))
    return means.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


def small(images: np.ndarray) -> np.ndarray:
    """Returns the images at half the size on a canvas of random colours."""
    canvas = np.random.default_rng(len(images)).integers(0, 256, images.shape, np.uint8)
    canvas[:, 8:40, 24:56] = images[:, ::2, ::2]
    return canvas


def sketched(images: np.ndarray) -> np.ndarray:
    """Returns the images as dark lines on white."""
    return (255 * sketch(images / np.float32(255)).clip(0, 1)).astype(np.uint8)


KINDS = {
    "scenes at difficulty 1": Kind(1.0),
    "scenes at difficulty 2": Kind(2.0),
    "scenes at difficulty 3": Kind(3.0),
    "turned by 90 degrees": Kind(1.0, lambda images: np.rot90(images, axes=(1, 2))),
    "turned by 180 degrees": Kind(1.0, lambda images: images[:, ::-1, ::-1]),
    "inverted": Kind(1.0, lambda images: 255 - images),
    "sketched": Kind(1.0, sketched),
    "coarse pixels": Kind(1.0, coarse),
    "small on noise": Kind(1.0, small),
    "inverted coarse pixels": Kind(1.0, lambda images: 255 - coarse(images)),
    "a third of the names swapped": Kind(1.0, labels="swapped"),
    "groups as labels": Kind(1.0, labels="groups"),
}


def make(encoder: Encoder, kind: Kind, rng: np.random.Generator) -> Labelled:
    """Returns one random set of a kind."""
    concepts = json.loads((BUILD / "concepts.json").read_text(encoding="utf-8"))
    art = json.loads((BUILD / "images.json").read_text(encoding="utf-8"))
    pixels = np.load(BUILD / "images.npy", mmap_mode="r")
    members: dict[str, list[int]] = {}
    for number, concept in enumerate(concepts):
        members.setdefault(concept["subgroup"] if kind.labels == "groups" else concept["name"], []).append(number)
    possible = [name for name, own in members.items() if kind.labels != "groups" or len(own) >= MIN_GROUP]
    names = [possible[i] for i in rng.choice(len(possible), LABELS, replace=False)]
    images = []
    for name in names:
        drawings = [number for number, row in enumerate(art) if row["concept"] in members[name]]
        chosen = np.resize(rng.choice(drawings, DRAWINGS, replace=False), IMAGES)
        mirrored = np.array([concepts[art[number]["concept"]]["group"] in MIRRORED_GROUPS for number in chosen])
        scenes = kind.change(augment(np.stack([pixels[i] for i in chosen]), mirrored, kind.difficulty, rng))
        images.append(in_batches(encoder.encode_images, np.ascontiguousarray(scenes)))
    if kind.labels == "swapped":
        names[: LABELS // 3] = np.roll(names[: LABELS // 3], 1).tolist()
    return Labelled(text_embeddings(encoder, [name.replace("-", " ") for name in names]), images)


def constants() -> Iterator[tuple[str, float, tuple[int, ...], dict[str, Any]]]:
    """Yields the constants to compare: name, value, the numbers of examples that it is for, and what to set."""
    for single in SINGLE_STRENGTHS:
        yield "SINGLE_STRENGTH", single, (1,), {"SINGLE_STRENGTH": single}
    for end in range(SHORTEST_LADDER, len(LADDER) + 1):
        yield "the last of STRENGTHS", LADDER[end - 1], (2, 5, 10), {"STRENGTHS": LADDER[:end]}


def main() -> None:
    """Measures, prints and saves."""
    encoder = embedded_encoder()
    rng = np.random.default_rng(0)
    sets = {name: [make(encoder, kind, rng) for _ in range(SETS)] for name, kind in tqdm(KINDS.items(), desc="sets")}
    rows = []
    for constant, value, numbers, settings in constants():
        for num_examples, every in product(numbers, (1, 2)):
            kinds = {}
            for name, own in sets.items():
                with patch.multiple(few_shot, **settings):
                    pairs = [accuracies(encoder, each, num_examples, every, 0, SPLITS) for each in own]
                gains = [learned - text for text, learned in pairs]
                kinds[name] = {
                    "text": round(statistics.mean(text for text, _ in pairs), 4),
                    "difference": round(statistics.mean(gains), 4),
                    "standard_error": round(statistics.stdev(gains) / SETS**0.5, 4),
                }
            row: dict[str, Any] = {"constant": constant, "value": value, "num_examples": num_examples}
            row["with_examples"] = "all" if every == 1 else "half"
            row["difference"] = round(statistics.mean(kind["difference"] for kind in kinds.values()), 4)
            row["worse"] = [name for name, kind in kinds.items() if kind["difference"] < -kind["standard_error"]]
            rows.append(row | {"kinds": kinds})
            print(json.dumps(row), flush=True)
    result = {"machine": machine(), "versions": versions("numpy", "tensorflow"), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
