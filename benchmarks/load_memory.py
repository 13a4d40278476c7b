"""Measures the cost of loading a checkpoint: seconds, and peak memory above the imports as a multiple of the file.

    python benchmarks/load_memory.py        writes benchmarks/results/load_memory.json; 8 GB of memory, 4 GB of disk

One process writes a float32 checkpoint with random weights and another one loads it; the kernel reports the peak memory
of the second. The limit is 1.6 times the size of the file. Linux only (/proc).
"""

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks/results/load_memory.json"
LIMIT = 1.6
# The largest checkpoint, and the one whose token table is half of the file.
CASES = [("SigLIPSo400mP14", "google_384"), ("SigLIPBaseP16", "google_multilingual_256")]


def write(variant: str, weights: str, directory: str) -> None:
    """Writes a checkpoint of a published shape with random weights."""
    from model.checkpoint.weights import save_checkpoint
    from model.network.siglip import SigLIP
    from model.published import VARIANTS

    save_checkpoint(SigLIP(VARIANTS[variant][weights].config), directory)


def load(variant: str, directory: str) -> None:
    """Loads the checkpoint and prints the cost as JSON."""
    import keras

    from model.checkpoint.variants import load_model

    keras.ops.ones(1).numpy()  # TensorFlow starts its runtime at the first operation; this belongs to the imports
    before_bytes, start_s = resident_bytes("VmRSS"), time.perf_counter()
    load_model(variant, directory)
    seconds = time.perf_counter() - start_s
    peak_bytes, after_bytes = (resident_bytes(field) - before_bytes for field in ("VmHWM", "VmRSS"))
    print(json.dumps({"peak_bytes": peak_bytes, "after_bytes": after_bytes, "load_s": round(seconds, 1)}))


def resident_bytes(field: str) -> int:
    """Returns this process's resident memory: now (VmRSS) or at its peak (VmHWM)."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


def measure(variant: str, weights: str) -> dict:
    """Returns one row of the results."""
    with tempfile.TemporaryDirectory() as directory:
        child("write", variant, weights, directory)
        file_bytes = (Path(directory) / "model.safetensors").stat().st_size
        row = json.loads(child("load", variant, directory).splitlines()[-1])
    ratio = round(row["peak_bytes"] / file_bytes, 3)
    return {"variant": variant, "weights": weights, "file_bytes": file_bytes, **row, "peak_per_file": ratio}


def child(*arguments: str) -> str:
    """Runs this script in a separate process and returns what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Measures every case, prints and saves the results. Exits with 1 if one is over the limit."""
    rows = [measure(*case) for case in CASES]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"machine": machine, "limit": LIMIT, "rows": rows}, indent=2) + "\n")
    for row in rows:
        print(
            f"{row['variant']} {row['weights']}: file {row['file_bytes'] / 1e9:.2f} GB, "
            f"peak {row['peak_bytes'] / 1e9:.2f} GB = {row['peak_per_file']:.2f} times the file, {row['load_s']} s"
        )
    sys.exit(any(row["peak_per_file"] > LIMIT for row in rows))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", variant, weights, directory]:
            write(variant, weights, directory)
        case ["load", variant, directory]:
            load(variant, directory)
        case _:
            main()
