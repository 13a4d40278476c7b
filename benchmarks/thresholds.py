"""Measures whether thresholds reach the precision that was asked for, on images that they were not chosen on.

    python -m benchmarks.thresholds FOLDER...     writes benchmarks/results/thresholds.json; a minute on two cores

Each FOLDER is one seed of a labelled set: its sub-folders are the labels. Thresholds are chosen on all folders but the
last two, and reported on the last two; then for every other choice of two folders. With another seed, the same drawings
are in other scenes.

The held-out OpenMoji has one drawing for each concept (`python -m training.prepare` renders it), so a threshold for
each label cannot be chosen. One threshold for all names is chosen on a random half of the drawings and reported on the
other half, ten times.

Precision is the share of true answers among all accepted ones; coverage is the share of images with an accepted label.
"""

import json
import statistics
import sys
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.evaluation.answers import Logits, Truth
from app.evaluation.folds import make_splits
from app.evaluation.held_out import Accepted
from app.evaluation.thresholds import tune_thresholds
from benchmarks.few_shot import from_folder, text_embeddings
from benchmarks.machine import RESULTS, machine, versions
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from training.evaluate import BUILD, art_sets, in_batches, on_white

ASKED = (0.8, 0.9, 0.95)
REPORTED_FOLDERS = 2
HALVES = 10


class Scored(NamedTuple):
    """Logits and truth of labelled images, each [N, K]."""

    logits: Logits
    truth: Truth

    def accepted(self, asked: float, chosen_on: np.ndarray) -> dict[str, Accepted | None]:
        """Returns what thresholds accept on the other images: one for the set, and one for each label."""
        labels = [""] * self.truth.shape[1]
        splits = make_splits(self.truth, chosen_on=chosen_on)
        thresholds, _ = tune_thresholds(self.logits, self.truth, labels, asked, splits)
        return {"the set": thresholds.with_set_threshold, "each label": thresholds.with_label_thresholds}


def rows_of(scored: Scored, name: str, kinds: list[str], parts: list[np.ndarray]) -> list[dict[str, Any]]:
    """Returns a row for each asked precision and kind of threshold: the means over the parts.

    Args:
        scored: The images.
        name: Of the set, in the table.
        kinds: The kinds of thresholds: "the set", "each label".
        parts: Of each image, whether thresholds are chosen on it, [N]; once for each repetition.
    """
    rows = []
    for asked in ASKED:
        every = [scored.accepted(asked, chosen_on) for chosen_on in parts]
        for kind in kinds:
            found = [accepted for each in every if (accepted := each[kind])]
            precisions = [accepted.precision for accepted in found if accepted.precision]
            values = [precision.value for precision in precisions]
            ends = (
                (precisions[0].low, precisions[0].high)
                if len(values) == 1
                else (min(values, default=None), max(values, default=None))
            )
            rows.append(
                {
                    "set": name,
                    "labels": scored.truth.shape[1],
                    "threshold_for": kind,
                    "chosen_on": int(parts[0].sum()),
                    "reported_on": int((~parts[0]).sum()),
                    "asked": asked,
                    "repetitions": len(parts),
                    "repetitions_that_accept": len(values),
                    "precision": round(statistics.mean(values), 4) if values else None,
                    "range": [None if end is None else round(end, 4) for end in ends],
                    "coverage": round(statistics.mean(accepted.coverage for accepted in found), 4),
                    "accepted": round(statistics.mean(accepted.accepted for accepted in found), 1),
                }
            )
    return rows


def labelled_rows(encoder: Encoder, folders: list[Path]) -> list[dict[str, Any]]:
    """Returns the rows of a labelled set."""
    seeds = [from_folder(encoder, folder) for folder in folders]
    logits = [encoder.scale * np.concatenate(seed.images) @ seed.class_embeddings.T + encoder.bias for seed in seeds]
    label_of = np.concatenate([np.repeat(np.arange(len(s.images)), [len(own) for own in s.images]) for s in seeds])
    scored = Scored(np.concatenate(logits), label_of[:, np.newaxis] == np.arange(len(seeds[0].images)))
    folder_of = np.repeat(np.arange(len(seeds)), [len(each) for each in logits])
    parts = [~np.isin(folder_of, pair) for pair in combinations(range(len(seeds)), REPORTED_FOLDERS)]
    both = ["each label", "the set"]
    return [
        *rows_of(scored, "labelled set, reported on the last two seeds", both, parts[-1:]),
        *rows_of(scored, f"labelled set, mean of all {len(parts)} choices of two seeds", both[:1], parts),
    ]


def openmoji_rows(encoder: Encoder) -> list[dict[str, Any]]:
    """Returns the rows of the held-out OpenMoji."""
    concepts = json.loads((BUILD / "concepts.json").read_text(encoding="utf-8"))
    images, truth = next((images, truth) for name, images, truth in art_sets(BUILD) if name == "openmoji")
    texts = text_embeddings(encoder, [concept["texts"]["en"]["name"] for concept in concepts])
    embeddings = in_batches(encoder.encode_images, on_white(images, encoder.info.image_size[0]))
    logits = encoder.scale * embeddings @ texts.T + encoder.bias
    orders = [np.random.default_rng(seed).permutation(len(images)) for seed in range(HALVES)]
    halves = [order < len(images) // 2 for order in orders]
    scored = Scored(logits, truth[:, np.newaxis] == np.arange(len(concepts)))
    return rows_of(scored, f"held-out OpenMoji, mean of {HALVES} random halves", ["the set"], halves)


def main(folders: list[Path]) -> None:
    """Measures, prints and saves."""
    if len(folders) <= REPORTED_FOLDERS:
        sys.exit(f"name at least {REPORTED_FOLDERS + 1} folders: the last {REPORTED_FOLDERS} are reported on")
    encoder = load_encoder(None, str(EMBEDDED_DIRECTORY / EMBEDDED[1]), device="cpu", dtype="float32", max_batch=64)
    rows = labelled_rows(encoder, folders) + openmoji_rows(encoder)
    for row in rows:
        print(json.dumps(row))
    result = {"machine": machine(), "versions": versions("numpy", "tensorflow"), "rows": rows}
    (RESULTS / "thresholds.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
