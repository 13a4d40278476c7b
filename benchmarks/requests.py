"""Requests a second beside the transformers pipeline's, and what a request takes beyond the bare image tower.

    python -m benchmarks.requests CHECKPOINT_DIRECTORY     writes benchmarks/results/requests.json; about eight minutes
                                                           with a base model on two cores

Both servers, and the bare tower, are processes of their own that wait while another is measured; what is compared is
measured in turn, round by round. Every picture is sent once to each, so that keeping embeddings of pictures would not
help. `SIGLIP_*` variables choose the service's settings, and the bare tower's with them.
"""

import io
import json
import os
import random
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from PIL import Image

from benchmarks.bare_tower import BATCHES, Tower
from benchmarks.machine import machine, versions
from benchmarks.soak import ROOT, launch

RESULTS = ROOT / "benchmarks/results/requests.json"
CLIENTS, MANY_CLIENTS, TIMEOUT_S = 16, 64, 900


class Cell(NamedTuple):
    """Requests of a round: few where one takes seconds. Where they are fewer than the clients, each has its own."""

    labels: int
    rounds: int
    seen: int
    new: int
    pipeline: int  # keeps nothing between requests: its one rate stands for seen and new labels
    target_seen: float | None
    target_new: float | None


CELLS = [Cell(10, 3, 48, 16, 16, 4, 1.0), Cell(100, 2, 48, 2, 2, 28, 1.3), Cell(1000, 1, 48, 1, 1, 250, None)]
ALONE, FULL_ROUNDS, FULL_REQUESTS = 30, 3, 128

chance = random.Random(0)
numbers = count()
coarse = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
canvas = Image.fromarray(coarse).resize((1280, 960), Image.Resampling.BICUBIC)


def picture() -> bytes:
    """Returns a JPEG of 640x480 that was not there before."""
    number = next(numbers)
    left, top = number % 640, number // 640
    file = io.BytesIO()
    canvas.crop((left, top, left + 640, top + 480)).save(file, "JPEG", quality=90)
    return file.getvalue()


def new_labels(number: int) -> list[str]:
    """Returns labels of two words that nobody has seen."""
    return [" ".join("".join(chance.choices("abcdefghijklmnoprstuvw", k=6)) for _ in "ab") for _ in range(number)]


def prepared(address: str, image: bytes, labels: list[str]) -> httpx.Request:
    """Returns a request with its body made, so that making it is not measured."""
    files = {"image": ("picture.jpg", image, "image/jpeg")}
    request = httpx.Request("POST", f"{address}/classify", files=files, data={"labels": labels})
    request.read()
    return request


def answer(client: httpx.Client, request: httpx.Request) -> Any:
    """Returns what the server has answered."""
    response = client.send(request)
    response.raise_for_status()
    return response.json()


def rate(address: str, images: list[bytes], labels: list[list[str]], clients: int = CLIENTS) -> float:
    """Returns how many requests a second were answered, by so many clients at once."""
    requests = [prepared(address, image, of_one) for image, of_one in zip(images, labels, strict=True)]
    at_once = min(clients, len(requests))
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    with httpx.Client(timeout=TIMEOUT_S, limits=limits) as client, ThreadPoolExecutor(at_once) as pool:
        began_s = time.perf_counter()
        list(pool.map(lambda request: client.send(request).raise_for_status(), requests))
        return len(requests) / (time.perf_counter() - began_s)


def row(what: str, target: str, ratios: list[float], **measured: Any) -> dict[str, Any]:
    """Returns a row of the result, and prints it. Its spread is the quartiles, of few ratios the ends."""
    ends = statistics.quantiles(ratios, n=4)[::2] if len(ratios) > 3 else (min(ratios), max(ratios))
    spread = [round(each, 3) for each in ends]
    made = {"what": what, "target": target, "ratio": round(statistics.median(ratios), 3), "spread": spread} | measured
    print(json.dumps(made), flush=True)
    return made


def against_pipeline(ours: str, pipeline: str) -> list[dict[str, Any]]:
    """Returns the rates of both servers, one row for each number of labels, seen before and new."""
    seen = new_labels(CELLS[-1].labels)
    rate(ours, [picture()], [seen])
    rate(pipeline, [picture()], [seen[:1]])
    rows = []
    for cell in CELLS:
        rates: dict[str, list[float]] = {"seen": [], "new": [], "pipeline": []}
        for _ in range(cell.rounds):
            images = [picture() for _ in range(max(cell.seen, cell.pipeline))]
            fresh = [new_labels(cell.labels) for _ in range(max(cell.new, cell.pipeline))]
            rates["seen"].append(rate(ours, images[: cell.seen], [seen[: cell.labels]] * cell.seen))
            rates["pipeline"].append(rate(pipeline, images[: cell.pipeline], fresh[: cell.pipeline]))
            images = [picture() for _ in range(cell.new)]
            rates["new"].append(rate(ours, images, fresh[: cell.new]))
        for kind, target in (("seen", cell.target_seen), ("new", cell.target_new)):
            ratios = [mine / theirs for mine, theirs in zip(rates[kind], rates["pipeline"], strict=True)]
            what = f"{cell.labels:,} labels, {'seen before' if kind == 'seen' else 'never seen before'}"
            rows.append(
                row(
                    f"requests a second over the pipeline's, {what}",
                    f"at least {target}" if target else "",
                    ratios,
                    requests_per_round=[cell.seen if kind == "seen" else cell.new, cell.pipeline],
                    service_per_s=[round(each, 4) for each in rates[kind]],
                    pipeline_per_s=[round(each, 4) for each in rates["pipeline"]],
                )
            )
    return rows


def against_tower(ours: str, tower: Tower) -> list[dict[str, Any]]:
    """Returns what the service takes beyond the tower: for one client, and full."""
    labels = new_labels(10)
    requests = [prepared(ours, picture(), labels) for _ in range(ALONE + 3)]
    took: list[tuple[float, float]] = []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for request in requests:
            began_s = time.perf_counter()
            answer(client, request)
            took.append((time.perf_counter() - began_s, tower.seconds(1)))
    took = took[3:]  # the first ones compute the labels and open the connection
    request_s, tower_s = (statistics.median(each) for each in zip(*took, strict=True))
    alone = row(
        "time of POST /classify over the bare tower's, one client, labels seen before, a JPEG of 640x480",
        "at most 1.08",
        [one / bare for one, bare in took],
        request_ms=round(request_s * 1000, 1),
        tower_ms=round(tower_s * 1000, 1),
    )
    best = min(BATCHES, key=lambda batch: min(tower.seconds(batch) for _ in "ab") / batch)
    rates = []
    for _ in range(FULL_ROUNDS):
        images = [picture() for _ in range(FULL_REQUESTS)]
        service = rate(ours, images, [labels] * FULL_REQUESTS, MANY_CLIENTS)
        times = [tower.seconds(best) for _ in range(max(1, 64 // best))]
        rates.append((service, best / statistics.median(times)))
    full = row(
        "images a second over the bare tower's at its best batch, 64 clients, labels seen before",
        "at least 0.95",
        [service / bare for service, bare in rates],
        best_batch=best,
        service_per_s=[round(service, 2) for service, _ in rates],
        tower_per_s=[round(bare, 2) for _, bare in rates],
    )
    return [alone, full]


def agreement(ours: str, pipeline: str) -> dict[str, Any]:
    """Returns whether both servers answer the same."""
    same, differences = 0, []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for image in [picture() for _ in range(5)]:
            labels = new_labels(10)
            mine = answer(client, prepared(ours, image, labels))["scores"]
            theirs = answer(client, prepared(pipeline, image, labels))
            same += mine[0]["label"] == theirs[0]["label"]
            by_label = {each["label"]: each["sigmoid"] for each in mine}
            differences += [abs(by_label[each["label"]] - each["score"]) for each in theirs]
    return {"pictures": 5, "same_first_label": same, "largest_difference_of_scores": max(differences)}


def main(directory: str) -> int:
    """Measures, prints and saves."""
    settings = {"WEIGHTS": directory, "PORT": "0", "LOG_FORMAT": "text", "REQUEST_TIMEOUT_S": str(TIMEOUT_S)}
    asked = {name: value for name, value in os.environ.items() if name.startswith("SIGLIP_")}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {f"SIGLIP_{name}": value for name, value in settings.items()} | asked
        environment |= {"SIGLIP_DATA_DIR": folder, "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes = []
        try:
            service, ours = launch(["app", "serve"], environment, " ready: ")
            processes.append(service)
            peer, pipeline = launch(["benchmarks.peers.pipeline", directory], environment, "running on")
            processes.append(peer)
            agrees = agreement(ours, pipeline)
            print(json.dumps(agrees), flush=True)
            rows = against_pipeline(ours, pipeline)
            peer.terminate()
            tower = Tower(environment)
            processes.append(tower.process)
            rows += against_tower(ours, tower)
        finally:
            for process in processes:
                process.terminate()
                process.wait()
    result = {
        "machine": machine(),
        "versions": versions("tensorflow", "keras", "torch", "transformers"),
        "checkpoint": Path(directory).name,
        "settings": asked,
        "clients": CLIENTS,
        "agreement": agrees,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).resolve())))
