"""Measures how the cost grows with the work: more labels, larger batches, larger images, more clients.

    python -m benchmarks.costs DIRECTORY     writes benchmarks/results/costs.json; eight minutes with a base model
                                             on two cores

Labels and clients are measured with the embedded checkpoint, whose small tower does not hide their cost; all labels are
cached. Batches and image sizes are measured with the bare TensorFlow tower of the checkpoint in DIRECTORY. Each row has
its time and its amount of work; the tables divide both by those of the first row.
"""

import base64
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.clients import new_image, new_labels, rate
from benchmarks.limit import image_multiply_adds
from benchmarks.machine import machine, versions
from benchmarks.service import ROOT, running
from model.checkpoint.variants import load_model
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.engines.tensorflow_encoder import TensorFlowEncoder
from model.processor import SigLIPProcessor

RESULTS = ROOT / "benchmarks/results/costs.json"
LABELS = (1, 10, 100, 1_000, 10_000, 100_000)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
SIDES = (224, 256, 384, 512)
CLIENTS = (1, 4, 16, 64, 256)
ROUNDS, REQUESTS = 7, 256


def timed(work: Callable[[], Any], rounds: int = ROUNDS) -> list[float]:
    """Returns how long each call of `work` takes, in milliseconds."""
    times = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began_s))
    return times


def row(what: str, amount: int, work: float, times_ms: list[float]) -> dict[str, Any]:
    """Returns a row of the result, and prints it."""
    low, median, high = (round(quartile, 2) for quartile in statistics.quantiles(times_ms, n=4))
    result = {"what": what, "amount": amount, "work": work, "median_ms": median, "spread_ms": [low, high]}
    print(json.dumps(result), flush=True)
    return result


def labels() -> Iterator[dict[str, Any]]:
    """Yields the time of a request with more and more cached labels; the response has a score for each."""
    known = new_labels(LABELS[-1])
    image = base64.b64encode(new_image()).decode()
    settings = {"MAX_LABELS": str(LABELS[-1]), "ENGINE": "tensorflow"}
    with running(**settings) as (_, address), httpx.Client(base_url=address, timeout=900) as client:

        def classify(count: int) -> None:
            client.post("/classify", json={"image": image, "labels": known[:count]}).raise_for_status()

        classify(len(known))
        for count in LABELS:
            yield row("cached labels in one request", count, count, timed(lambda count=count: classify(count)))


def batches(encoder: Encoder) -> Iterator[dict[str, Any]]:
    """Yields the image tower's time for larger and larger batches."""
    images = np.random.default_rng(0).integers(0, 256, (BATCHES[-1], *encoder.preprocessor.shape), np.uint8)
    for batch in BATCHES:
        times = timed(lambda batch=batch: encoder.encode_images(images[:batch]), 5)
        yield row("batch size, bare image tower", batch, batch, times)


def sides(directory: str, encoder: Encoder) -> Iterator[dict[str, Any]]:
    """Yields the image tower's time for larger and larger images. The work is in multiply-adds."""
    for side in SIDES:
        model = load_model(None, directory, input_shape=(side, side, 3))
        processor = SigLIPProcessor(weights=directory, image_size=(side, side))
        info = replace(encoder.info, image_size=(side, side))
        larger = TensorFlowEncoder(model, processor, info, max_batch=1, compile_xla=False)
        image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        larger.encode_images(image)
        times = timed(lambda larger=larger, image=image: larger.encode_images(image))
        yield row("image size in pixels, bare image tower", side, image_multiply_adds(model.config.vision), times)


def clients() -> Iterator[dict[str, Any]]:
    """Yields the time per request for more and more concurrent clients. All images are new."""
    known = new_labels(10)
    with running(ENGINE="tensorflow", MAX_QUEUE_ITEMS="512") as (_, address):
        rate(address, [new_image()], [known])
        for concurrent in CLIENTS:
            rates = [
                rate(address, [new_image() for _ in range(REQUESTS)], [known] * REQUESTS, concurrent) for _ in "abc"
            ]
            yield row("concurrent clients, time per request", concurrent, 1, [1000 / each for each in rates])


def main(directory: str) -> None:
    """Measures, prints and saves."""
    encoder = load_encoder(weights=directory, device="cpu", max_batch=BATCHES[-1])
    encoder.warm_up()
    rows = [*batches(encoder), *sides(directory, encoder), *labels(), *clients()]
    result = {"machine": machine(), "versions": versions("tensorflow", "keras"), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
