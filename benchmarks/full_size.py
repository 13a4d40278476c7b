"""Compares each published checkpoint with transformers, at full size and with perturbed tensors.

    python -m benchmarks.full_size [NAME...]     writes benchmarks/results/full_size.json; 15 minutes, 16 GB of memory,
                                                 8 GB of disk. Needs requirements-parity.txt

The tests do the same: the light checkpoints in `make parity`, the heavy ones in `make acceptance`. With names, such as
SigLIPBaseP16 or google_512, only the rows of these variants or weights are replaced.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import RESULTS, machine, versions
from tests.parity.full_size import BY_WIDTH, LIGHT, full_size_difference

FILE = RESULTS / "full_size.json"
PACKAGES = ("torch", "transformers", "tensorflow", "keras")


def main(names: list[str]) -> None:
    """Measures the checkpoints of the variants or weights, or all. The results are written after each."""
    measured = json.loads(FILE.read_text(encoding="utf-8"))["rows"] if FILE.exists() else []
    rows = {(row["variant"], row["weights"]): row for row in measured}
    with tempfile.TemporaryDirectory() as directory:
        for row in BY_WIDTH:
            if names and row.variant not in names and row.weights not in names:
                continue
            start_s, every_stage = time.process_time(), row in LIGHT
            difference = full_size_difference(row, Path(directory), every_stage=every_stage)
            rows[row[:2]] = {
                "variant": row.variant,
                "weights": row.weights,
                "every_stage": every_stage,
                **difference._asdict(),
                "cpu_s": round(time.process_time() - start_s),
            }
            print(rows[row[:2]], flush=True)
            ordered = [rows[each[:2]] for each in BY_WIDTH if each[:2] in rows]
            results = {"machine": machine(), "versions": versions(*PACKAGES), "rows": ordered}
            FILE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
