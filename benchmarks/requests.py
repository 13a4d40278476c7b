"""Requests a second beside the transformers pipeline's.

    python -m benchmarks.requests CHECKPOINT_DIRECTORY     writes benchmarks/results/requests.json, without VNNI
                                                           requests_without_vnni.json; half an hour with a base
                                                           model on two cores, 8 GB of memory

The service is there once for each engine. All servers are processes of their own that wait while another is measured,
in turn, round by round. Every image is sent once, so that keeping embeddings of images would not help. `SIGLIP_*`
variables choose the services' other settings.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.clients import CLIENTS, TIMEOUT_S, answer, new_image, new_labels, prepared, rate
from benchmarks.limit import image_multiply_adds, multiply_adds_per_s, text_multiply_adds
from benchmarks.machine import machine, result_file, spread, versions
from benchmarks.service import ENGINES, engine_settings, launch
from model.checkpoint.hf_config import read_config
from model.config import SigLIPConfig


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
LIMIT = "limit of float32"


def against_pipeline(services: dict[str, str], pipeline: str, config: SigLIPConfig) -> list[dict[str, Any]]:
    """Returns each service's rates beside the pipeline's, one row for each number of labels, seen before and new.

    The limit is the rate at which the processors could do the towers' float32 arithmetic, and nothing else.
    """
    image, text = image_multiply_adds(config.vision), text_multiply_adds(config.text, config.embed_dim)
    seen = new_labels(CELLS[-1].labels)
    for address in services.values():
        rate(address, [new_image()], [seen])
    rate(pipeline, [new_image()], [seen[:1]])
    rows = []
    for cell in CELLS:
        rates: dict[tuple[str, str], list[float]] = defaultdict(list)
        theirs: list[float] = []
        for _ in range(cell.rounds):
            fresh = [new_labels(cell.labels) for _ in range(cell.pipeline)]
            theirs.append(rate(pipeline, [new_image() for _ in fresh], fresh))
            per_s = multiply_adds_per_s()
            rates[LIMIT, "seen before"].append(per_s / image)
            rates[LIMIT, "never seen before"].append(per_s / (image + cell.labels * text))
            for name, address in services.items():
                for kind, number in (("seen before", cell.seen), ("never seen before", cell.new)):
                    known = kind == "seen before"
                    labels = [seen[: cell.labels] if known else new_labels(cell.labels) for _ in range(number)]
                    rates[name, kind].append(rate(address, [new_image() for _ in range(number)], labels))
        for kind, target, number in (
            ("seen before", cell.target_seen, cell.seen),
            ("never seen before", cell.target_new, cell.new),
        ):
            ratios = {
                name: spread([mine / other for mine, other in zip(rates[name, kind], theirs, strict=True)])
                for name in (*services, LIMIT)
            }
            made = {
                "what": f"requests a second over the pipeline's, {cell.labels:,} labels, {kind}",
                "target": f"at least {target}" if target else "",
                "engines": ratios,
                "requests_per_round": [number, cell.pipeline],
                "service_per_s": {name: [round(each, 4) for each in rates[name, kind]] for name in services},
                "pipeline_per_s": [round(each, 4) for each in theirs],
            }
            print(json.dumps(made), flush=True)
            rows.append(made)
    return rows


def agreement(ours: str, pipeline: str) -> dict[str, Any]:
    """Returns whether both servers answer the same."""
    same, differences = 0, []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for image in [new_image() for _ in range(5)]:
            labels = new_labels(10)
            mine = answer(client, prepared(ours, image, labels))["scores"]
            theirs = answer(client, prepared(pipeline, image, labels))
            same += mine[0]["label"] == theirs[0]["label"]
            by_label = {each["label"]: each["sigmoid"] for each in mine}
            differences += [abs(by_label[each["label"]] - each["score"]) for each in theirs]
    return {"images": 5, "same_first_label": same, "largest_difference_of_scores": max(differences)}


def main(directory: str) -> int:
    """Measures, prints and saves."""
    asked = {name: value for name, value in os.environ.items() if name.startswith("SIGLIP_")}
    settings = {"WEIGHTS": directory, "PORT": "0", "LOG_FORMAT": "text", "REQUEST_TIMEOUT_S": str(TIMEOUT_S)}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "SIGLIP_ENGINE_CACHE": f"{folder}/engine"}
        environment |= {f"SIGLIP_{name}": value for name, value in settings.items()} | asked
        environments = {
            name: environment
            | {"SIGLIP_DATA_DIR": f"{folder}/{path}"}
            | {f"SIGLIP_{setting}": value for setting, value in engine_settings(path).items()}
            for name, path in ENGINES.items()
        }
        processes, addresses = [], {}
        try:
            for name, given in environments.items():
                process, addresses[name] = launch(["app", "serve"], given, " ready: ")
                processes.append(process)
            peer, pipeline = launch(["benchmarks.peers.pipeline", directory], environment, "running on")
            processes.append(peer)
            agrees = {name: agreement(address, pipeline) for name, address in addresses.items()}
            print(json.dumps(agrees), flush=True)
            rows = against_pipeline(addresses, pipeline, read_config(Path(directory)))
        finally:
            for process in processes:
                process.terminate()
                process.wait()
    result = {
        "machine": machine(),
        "versions": versions("tensorflow", "keras", "openvino", "torch", "transformers"),
        "checkpoint": Path(directory).name,
        "settings": asked,
        "clients": CLIENTS,
        "agreement": agrees,
        "rows": rows,
    }
    result_file("requests").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).resolve())))
