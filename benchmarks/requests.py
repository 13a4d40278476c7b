"""Measures the service's requests per second relative to the transformers pipeline's.

    python -m benchmarks.requests CHECKPOINT_DIRECTORY     writes benchmarks/results/requests.json, without VNNI
                                                           requests_without_vnni.json; half an hour with a base
                                                           model on two cores, 8 GB of memory

The service runs once per engine. All servers are separate processes; each round measures them in turn, while the others
are idle. Every image is sent once, so a cache of image embeddings does not help. `SIGLIP_*` variables are the services'
other settings.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.clients import CLIENTS, TIMEOUT_S, fetch_json, new_image, new_labels, prepare_request, rate
from benchmarks.limit import image_multiply_adds, multiply_adds_per_s, text_multiply_adds
from benchmarks.machine import machine, result_file, spread, versions
from benchmarks.service import ENGINES, engine_settings, launch
from model.checkpoint.hf_config import read_config
from model.config import SigLIPConfig


class Cell(NamedTuple):
    """The numbers of labels, of rounds, and of requests per round, which are few if one request takes seconds."""

    labels: int
    rounds: int
    seen: int
    new: int
    pipeline: int  # it caches nothing, so it has one rate for cached and new labels
    target_seen: float | None
    target_new: float | None


CELLS = [Cell(10, 3, 48, 16, 16, 4, 1.0), Cell(100, 2, 48, 2, 2, 28, 1.3), Cell(1000, 1, 48, 1, 1, 250, None)]
LIMIT = "limit of float32"


def against_pipeline(services: dict[str, str], pipeline: str, config: SigLIPConfig) -> list[dict[str, Any]]:
    """Returns each service's rates relative to the pipeline's: a row for each number of labels, cached and new.

    The limit is the rate at which the CPU could do only the towers' float32 arithmetic.
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
            rates[LIMIT, "cached"].append(per_s / image)
            rates[LIMIT, "new"].append(per_s / (image + cell.labels * text))
            for name, address in services.items():
                for kind, number in (("cached", cell.seen), ("new", cell.new)):
                    known = kind == "cached"
                    labels = [seen[: cell.labels] if known else new_labels(cell.labels) for _ in range(number)]
                    rates[name, kind].append(rate(address, [new_image() for _ in range(number)], labels))
        for kind, target, number in (
            ("cached", cell.target_seen, cell.seen),
            ("new", cell.target_new, cell.new),
        ):
            ratios = {
                name: spread([mine / other for mine, other in zip(rates[name, kind], theirs, strict=True)])
                for name in (*services, LIMIT)
            }
            row = {
                "what": f"requests per second relative to the pipeline: {cell.labels:,} {kind} labels",
                "target": f"at least {target}" if target else "",
                "engines": ratios,
                "requests_per_round": [number, cell.pipeline],
                "service_per_s": {name: [round(each, 4) for each in rates[name, kind]] for name in services},
                "pipeline_per_s": [round(each, 4) for each in theirs],
            }
            print(json.dumps(row), flush=True)
            rows.append(row)
    return rows


def agreement(ours: str, pipeline: str) -> dict[str, Any]:
    """Returns how far both servers' scores agree."""
    same, differences = 0, []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for image in [new_image() for _ in range(5)]:
            labels = new_labels(10)
            mine = fetch_json(client, prepare_request(ours, image, labels))["scores"]
            theirs = fetch_json(client, prepare_request(pipeline, image, labels))
            same += mine[0]["label"] == theirs[0]["label"]
            by_label = {each["label"]: each["sigmoid"] for each in mine}
            differences += [abs(by_label[each["label"]] - each["score"]) for each in theirs]
    return {"images": 5, "same_first_label": same, "largest_difference_of_scores": max(differences)}


def main(directory: str) -> int:
    """Measures, prints and saves."""
    given = {name: value for name, value in os.environ.items() if name.startswith("SIGLIP_")}
    settings = {"WEIGHTS": directory, "PORT": "0", "LOG_FORMAT": "text", "REQUEST_TIMEOUT_S": str(TIMEOUT_S)}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "SIGLIP_ENGINE_CACHE": f"{folder}/engine"}
        environment |= {f"SIGLIP_{name}": value for name, value in settings.items()} | given
        environments = {
            name: environment
            | {"SIGLIP_DATA_DIR": f"{folder}/{path}"}
            | {f"SIGLIP_{setting}": value for setting, value in engine_settings(path).items()}
            for name, path in ENGINES.items()
        }
        processes, addresses = [], {}
        try:
            for name, variables in environments.items():
                process, addresses[name] = launch(["app", "serve"], variables, " ready: ")
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
        "settings": given,
        "clients": CLIENTS,
        "agreement": agrees,
        "rows": rows,
    }
    result_file("requests").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).resolve())))
