"""Measures how long storing a new label set takes, relative to the bare text tower's time for as many texts.

    python -m benchmarks.label_sets DIRECTORY [PATH...]     writes benchmarks/results/label_sets.json, or without VNNI
                                                            label_sets_without_vnni.json; an hour with a base model on
                                                            two cores

Each PATH is an engine, or an engine, a slash and a dtype. The embedded checkpoint stores three sets with each;
DIRECTORY's stores one, because it may take minutes per set. All labels are new. Service and tower are separate
processes that run in turn. The tower uses its best batch size, and random tokens, which take as long as any others.
"""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.bare_tower import Tower
from benchmarks.clients import TIMEOUT_S, new_labels
from benchmarks.machine import machine, result_file, spread, versions
from benchmarks.service import engine_settings, environment, running
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

BATCHES = (8, 16, 32, 64)
NUM_LABELS, TARGET = 1_000, 1.1
PATHS = ["tensorflow", "openvino"]
TEMPLATES = [f"{kind} of a {{}}" for kind in ("photo", "painting", "drawing", "sketch", "toy", "logo", "map", "model")]


def put_s(client: httpx.Client, name: str, labels: list[str]) -> float:
    """Returns how long it takes to store a label set. Exits if a text was cached."""
    before = misses(client)
    began_s = time.perf_counter()
    client.put(f"/label-sets/{name}", json={"labels": labels, "templates": TEMPLATES}).raise_for_status()
    seconds = time.perf_counter() - began_s
    computed = misses(client) - before
    if computed != len(labels) * len(TEMPLATES):
        sys.exit(f"{computed} texts were computed for {len(labels)} labels in {len(TEMPLATES)} templates")
    return seconds


def misses(client: httpx.Client) -> int:
    """Returns how many texts the service has computed so far."""
    lines = client.get("/metrics").text.splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("siglip_text_cache_misses_total "))))


def measure(checkpoint: Path, rounds: int, path: str) -> dict[str, Any]:
    """Returns a row of the result."""
    settings = {"WEIGHTS": str(checkpoint), **engine_settings(path)}
    num_texts = NUM_LABELS * len(TEMPLATES)
    times = []
    with running(**settings) as (_, address), httpx.Client(base_url=address, timeout=TIMEOUT_S) as client:
        tower = Tower(environment(MAX_BATCH=str(max(BATCHES)), **settings), "texts")
        try:
            best = tower.best_batch(BATCHES)
            batches = math.ceil(num_texts / best)
            for number in range(rounds):
                service_s = put_s(client, f"set-{number}", new_labels(NUM_LABELS))
                times.append((service_s, tower.seconds(best, batches) * num_texts / (best * batches)))
        finally:
            tower.process.terminate()
            tower.process.wait()
    result = {
        "what": f"{checkpoint.name}, {path}: {NUM_LABELS:,} labels in {len(TEMPLATES)} templates",
        "target": f"at most {TARGET}",
        **spread([service / bare for service, bare in times]),
        "best_batch": best,
        "service_s": [round(service, 2) for service, _ in times],
        "tower_s": [round(bare, 2) for _, bare in times],
    }
    print(json.dumps(result), flush=True)
    return result


def main(directory: str, paths: list[str]) -> None:
    """Measures, prints and saves."""
    cases = [(EMBEDDED_DIRECTORY / EMBEDDED[1], 3), (Path(directory), 1)]
    rows = [measure(checkpoint, rounds, path) for checkpoint, rounds in cases for path in paths]
    result = {"machine": machine(), "versions": versions("tensorflow", "keras", "openvino"), "rows": rows}
    result_file("label_sets").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or PATHS)
