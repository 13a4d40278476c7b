"""Measures the service's memory: after its start, and after more and more requests.

    python -m benchmarks.memory DIRECTORY [PATH...]    writes benchmarks/results/memory.json; five minutes with a base
                                                       model on two cores

Each PATH is an engine, or an engine, a slash and a dtype. The embedded checkpoint and DIRECTORY's are measured with
each. Enough clients run to fill batches. The target is at most the float32 weights plus 900 MB, and no growth. Linux
only (/proc).
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.clients import MANY_CLIENTS, new_image, new_labels, rate
from benchmarks.machine import machine, versions
from benchmarks.service import ROOT, engine_settings, running, usage
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

RESULTS = ROOT / "benchmarks/results/memory.json"
SINGLE, FULL, TARGET_BYTES = 20, 192, 900_000_000
PATHS = ["tensorflow", "openvino"]


def samples(checkpoint: Path, path: str) -> list[dict[str, Any]]:
    """Returns the service's memory after each kind of work, and how much it is above the size of the weights file."""
    labels, found, sent = new_labels(10), [], 0
    file_bytes = (checkpoint / "model.safetensors").stat().st_size
    with running(WEIGHTS=str(checkpoint), **engine_settings(path)) as (process, address):
        works = [(0, 1), (SINGLE, 1), (FULL, MANY_CLIENTS), (FULL, MANY_CLIENTS), (FULL, MANY_CLIENTS)]
        for requests, clients in works:
            if requests:
                rate(address, [new_image() for _ in range(requests)], [labels] * requests, clients)
            sent += requests
            now = usage(process.pid)
            sample = {"checkpoint": checkpoint.name, "path": path, "requests": sent, "clients": clients, **now}
            found.append(sample | {"above_weights_bytes": now["resident_bytes"] - file_bytes})
            print(json.dumps(found[-1]), flush=True)
    return found


def main(directory: str, paths: list[str]) -> None:
    """Measures, prints and saves."""
    checkpoints = (EMBEDDED_DIRECTORY / EMBEDDED[1], Path(directory))
    result = {
        "machine": machine(),
        "versions": versions("tensorflow", "keras", "openvino"),
        "target_above_weights_bytes": TARGET_BYTES,
        "rows": [sample for checkpoint in checkpoints for path in paths for sample in samples(checkpoint, path)],
    }
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or PATHS)
