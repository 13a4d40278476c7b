"""Measures how close the embeddings of faster engines and dtypes are to TensorFlow's float32.

    python -m benchmarks.fidelity DIRECTORY [PATH...]     writes benchmarks/results/fidelity.json; ten minutes with a
                                                          base model on two cores

Each PATH is an engine, a slash and a dtype. What only a GPU can do, TF32 and fast float16, is emulated
(`benchmarks/gpu_products.py`). The embedded checkpoint gets the images that it was not trained on
(`python -m training.prepare` makes them) and the English names: each image is compared with its own name and with 9 or
99 others. DIRECTORY's checkpoint gets drawn images and 100 of the names; with random weights, ten labels get nearly
equal scores.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gpu import random_images
from benchmarks.gpu_products import with_gpu_products
from benchmarks.machine import machine, versions
from model import zero_shot
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.text.tokenizer import canonicalize
from training.evaluate import BUILD, TRAINING_ART, art_sets, in_batches, on_white

RESULTS = Path(__file__).parent / "results/fidelity.json"
PATHS = ["openvino/float32", "openvino/int8", "tensorflow/tf32", "tensorflow/float16", "tensorflow/bfloat16"]
EMULATED = {"tf32": "float32", "float16": "float16"}  # dtype -> that of the traced tower
WAYS = (10, 100)
SETS = 100  # of names, for each drawn image
MAX_BATCH = 64  # the batch size of `in_batches`


class Asked(NamedTuple):
    """Images [M, S, S, 3], names [C], and for each number of ways N the names that each image is compared with.

    There are one or more sets of names for each image, one image after the other.
    """

    images: np.ndarray
    names: list[str]
    columns: dict[int, np.ndarray]  # [M x sets, N]


def english_names() -> list[str]:
    """Returns the names of all concepts that the embedded checkpoint knows."""
    return [concept["texts"]["en"]["name"] for concept in json.loads((BUILD / "concepts.json").read_text("utf-8"))]


def held_out(side: int) -> Asked:
    """Returns the art that the embedded checkpoint was not trained on, and for each image its name among others."""
    names = english_names()
    sets = [(on_white(rgba, side), truth) for name, rgba, truth in art_sets(BUILD) if name != TRAINING_ART]
    images, truth = (np.concatenate(each) for each in zip(*sets, strict=True))
    canonical = np.array([canonicalize(name) for name in names])
    rng = np.random.default_rng(0)

    def candidates(concept: int, ways: int) -> np.ndarray:
        others = np.flatnonzero(canonical != canonical[concept])
        return np.append(rng.choice(others, ways - 1, replace=False), concept)

    return Asked(images, names, {ways: np.stack([candidates(concept, ways) for concept in truth]) for ways in WAYS})


def drawn(size: tuple[int, int]) -> Asked:
    """Returns images of rectangles and random names for each, for a checkpoint that may have random weights."""
    names = english_names()[: WAYS[-1]]
    rng = np.random.default_rng(0)
    images = random_images(rng, size)
    asked = len(images) * SETS
    columns = {ways: np.stack([rng.choice(len(names), ways, replace=False) for _ in range(asked)]) for ways in WAYS}
    return Asked(images, names, columns)


def embeddings(encoder: Encoder, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """Returns the embeddings of the images and of the names."""
    token_ids = encoder.prepare_text(zero_shot.prompts(asked.names))
    return in_batches(encoder.encode_images, asked.images), in_batches(encoder.encode_texts, token_ids)


def compared(ours: tuple[np.ndarray, np.ndarray], exact: tuple[np.ndarray, np.ndarray], asked: Asked) -> dict[str, Any]:
    """Returns how close embeddings are to the exact ones, and how often they rank the names in the same order."""
    found: dict[str, Any] = {"images": len(asked.images), "texts": len(asked.names)}
    for name, one, other in zip(("image", "text"), ours, exact, strict=True):
        cosines = (one.astype(float) * other).sum(axis=-1)
        found |= {f"{name}_cosine_mean": round(cosines.mean(), 7), f"{name}_cosine_worst": round(cosines.min(), 7)}
    cosines, exact_cosines = ours[0] @ ours[1].T, exact[0] @ exact[1].T
    found["cosine_change"] = float(np.abs(cosines - exact_cosines).max())
    for ways, columns in asked.columns.items():
        sets = len(columns) // len(cosines)
        scores = [
            np.take_along_axis(np.repeat(each, sets, axis=0), columns, axis=1) for each in (cosines, exact_cosines)
        ]
        orders = [np.argsort(-each) for each in scores]
        found[f"same_first_of_{ways}"] = float((orders[0][:, 0] == orders[1][:, 0]).mean())
        if ways == WAYS[0]:
            found["same_order_of_10"] = float((orders[0] == orders[1]).all(axis=1).mean())
    return found


def load_path(weights: str | None, path: str, cache: Path) -> Encoder:
    """Returns the encoder of a path, such as `tensorflow/tf32`."""
    engine, _, dtype = path.partition("/")
    encoder = load_encoder(
        weights=weights,
        device="cpu",
        engine=engine,
        dtype=EMULATED.get(dtype, dtype),
        engine_cache=cache,
        max_batch=MAX_BATCH,
    )
    if dtype in EMULATED:
        encoder.image_tower = with_gpu_products(encoder.image_tower)
        encoder.text_tower = with_gpu_products(encoder.text_tower)
    return encoder


def measure(weights: str | None, paths: list[str], cache: Path) -> list[dict[str, Any]]:
    """Returns a row for each path."""
    reference = load_encoder(weights=weights, device="cpu", dtype="float32", max_batch=MAX_BATCH)
    asked = drawn(reference.info.image_size) if weights else held_out(reference.info.image_size[0])
    exact = embeddings(reference, asked)
    rows = []
    for path in paths:
        encoder = load_path(weights, path, cache)
        found = compared(embeddings(encoder, asked), exact, asked)
        change = {"logit_change": round(reference.scale * found.pop("cosine_change"), 6)}
        emulated = path.partition("/")[2] in EMULATED
        rows.append({"variant": reference.info.variant, "path": path, "emulated": emulated, **found, **change})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main(directory: str, paths: list[str]) -> None:
    """Measures, prints and saves."""
    if not (BUILD / "concepts.json").is_file():
        sys.exit(f"{BUILD} has no prepared data. Run `python -m training.prepare` first.")
    with tempfile.TemporaryDirectory() as cache:
        rows = [row for weights in (None, directory) for row in measure(weights, paths, Path(cache))]
    result = {"machine": machine(), "versions": versions("tensorflow", "openvino", "nncf"), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or PATHS)
