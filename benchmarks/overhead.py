"""Measures the service's overhead over its bare image tower, for one client and for many.

    python -m benchmarks.overhead DIRECTORY     writes benchmarks/results/overhead.json, without VNNI
                                                overhead_without_vnni.json; twenty minutes with a base model on two
                                                cores

Every engine is measured. Service and tower are separate processes that run in turn. Each round of many clients is
compared with the tower before and after it. All images are new.
"""

import json
import statistics
import sys
import time
from itertools import pairwise
from typing import Any

import httpx

from benchmarks.bare_tower import Tower
from benchmarks.clients import MANY_CLIENTS, TIMEOUT_S, fetch_json, new_image, new_labels, prepare_request, rate
from benchmarks.machine import machine, result_file, spread, versions
from benchmarks.service import ENGINES, engine_settings, environment, running

ALONE, ROUNDS, REQUESTS, TOWER_IMAGES = 30, 7, 128, 32
ALONE_ROW = "time of POST /classify relative to the bare tower: 1 client, cached labels, a 640x480 JPEG"
MANY_ROW = f"images per second relative to the bare tower at its best batch size: {MANY_CLIENTS} clients, cached labels"
TARGETS = {ALONE_ROW: "at most 1.08", MANY_ROW: "at least 0.95"}


def measure(directory: str, path: str) -> dict[str, dict[str, Any]]:
    """Returns the ratios of one engine and dtype, by row."""
    settings = {"WEIGHTS": directory, **engine_settings(path)}
    labels = new_labels(10)
    with running(**settings) as (_, address):
        rate(address, [new_image()], [labels])
        tower = Tower(environment(**settings))
        try:
            ratios = {ALONE_ROW: one_client(address, tower, labels), MANY_ROW: many_clients(address, tower, labels)}
        finally:
            tower.process.terminate()
            tower.process.wait()
    print(json.dumps({path: ratios}), flush=True)
    return ratios


def one_client(address: str, tower: Tower, labels: list[str]) -> dict[str, Any]:
    """Returns the time of a request relative to the tower's time for its image."""
    times: list[tuple[float, float]] = []
    with httpx.Client(timeout=TIMEOUT_S) as client:
        for request in [prepare_request(address, new_image(), labels) for _ in range(ALONE + 1)]:
            began_s = time.perf_counter()
            fetch_json(client, request)
            times.append((time.perf_counter() - began_s, tower.seconds(1)))
    return spread([service / bare for service, bare in times[1:]])  # the first one opens the connection


def many_clients(address: str, tower: Tower, labels: list[str]) -> dict[str, Any]:
    """Returns the requests per second relative to the tower's images per second at its best batch size."""
    best = tower.best_batch()
    times = [[tower.seconds(best) for _ in range(TOWER_IMAGES // best)]]
    rates = []
    for _ in range(ROUNDS):
        rates.append(rate(address, [new_image() for _ in range(REQUESTS)], [labels] * REQUESTS, MANY_CLIENTS))
        times.append([tower.seconds(best) for _ in times[0]])
    bare = [best / statistics.median(before + after) for before, after in pairwise(times)]
    ratios = [service / images for service, images in zip(rates, bare, strict=True)]
    return {**spread(ratios), "best_batch": best}


def main(directory: str) -> None:
    """Measures, prints and saves."""
    found = {name: measure(directory, path) for name, path in ENGINES.items()}
    rows = [
        {"what": what, "target": target, "engines": {name: by_row[what] for name, by_row in found.items()}}
        for what, target in TARGETS.items()
    ]
    packages = versions("tensorflow", "keras", "openvino")
    result = {"machine": machine(), "versions": packages, "rounds": ROUNDS, "rows": rows}
    result_file("overhead").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
