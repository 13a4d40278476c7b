"""Measures the peak memory of the service and of the client when many stored embeddings are scored.

    python -m benchmarks.embeddings [DIRECTORY]     writes benchmarks/results/embeddings.json; five minutes on two cores

DIRECTORY is a checkpoint; the default is the embedded one. The embeddings are random. Each case runs with a new service
and a new client, because a process's peak only grows. The first case, one embedding and one label, is the baseline.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from app.cli.embedding_files import EmbeddedFile, StoredModel, create
from benchmarks.machine import RESULTS, machine, versions
from benchmarks.measured import read
from benchmarks.service import ROOT, environment, running

CASES = [(1, 1), (10_000, 1_000), (100_000, 1_000)]  # embeddings, labels
TOP_K = 5


def write_random(path: Path, model: StoredModel, embed_dim: int, count: int) -> None:
    """Writes a file of random embeddings of length 1."""
    chance = np.random.default_rng(0)
    with create(path, model, embed_dim) as add:
        for number in range(count):
            row = chance.standard_normal(embed_dim).astype(np.float32)
            add(EmbeddedFile(f"photos/{number:09}.jpg", f"{number:064x}", row / np.linalg.norm(row)))


def peak_bytes(process_id: int) -> int:
    """Returns the largest resident memory that a running process has had."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def measure(folder: Path, settings: dict[str, str], count: int, num_labels: int) -> dict[str, Any]:
    """Returns a row of the result."""
    stored, labels = folder / "stored.npz", folder / "labels.txt"
    labels.write_text("\n".join(f"label number {number}" for number in range(num_labels)), encoding="utf-8")
    with running(**settings) as (service, address):
        info = httpx.get(f"{address}/info").json()
        model = StoredModel(info["model_fingerprint"], f"{info['variant']} {info['weights']}")
        write_random(stored, model, info["embed_dim"], count)
        # The labels are embedded first, so that the time is the scoring's.
        httpx.put(
            f"{address}/label-sets/labels", json={"labels": labels.read_text().splitlines()}, timeout=900
        ).raise_for_status()
        before_bytes = peak_bytes(service.pid)
        arguments = ["--embeddings", str(stored), "--label-set", "labels", "--top-k", str(TOP_K), "--csv"]
        command = [sys.executable, "-m", "app", "classify", *arguments, "--server", address]
        began_s = time.perf_counter()
        with (folder / "scores.csv").open("w") as output:
            client = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=output)
            _, status, usage = os.wait4(client.pid, 0)
            client.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began_s
        if client.returncode:
            sys.exit(f"siglip classify ended with status {client.returncode}")
        row = {
            "embeddings": count,
            "labels": num_labels,
            "embed_dim": info["embed_dim"],
            "file_bytes": stored.stat().st_size,
            "output_bytes": (folder / "scores.csv").stat().st_size,
            "seconds": round(seconds, 1),
            "client_peak_bytes": usage.ru_maxrss * 1024,
            "service_before_bytes": before_bytes,
            "service_peak_bytes": peak_bytes(service.pid),
        }
    print(json.dumps(row), flush=True)
    return row


def embeddings_table() -> str:
    """Returns the table of the guide."""
    measured = read("embeddings")
    rows = [
        f"| {row['embeddings']:,} x {row['labels']:,} | {row['file_bytes'] / 1e6:,.0f} MB | {row['seconds']:,.0f} s | "
        f"{row['client_peak_bytes'] / 1e6:,.0f} MB | {row['service_before_bytes'] / 1e6:,.0f} MB | "
        f"{row['service_peak_bytes'] / 1e6:,.0f} MB |"
        for row in measured["rows"]
    ]
    where = f"`benchmarks/embeddings.py`, width {measured['rows'][0]['embed_dim']}, {measured['machine']}"
    head = f"| embeddings x labels ({where}) | file | time | client, peak | service, before | service, peak |"
    return "\n".join([head, "|---" * 6 + "|", *rows])


def main(arguments: list[str]) -> None:
    """Measures, prints and saves."""
    settings = {"WEIGHTS": arguments[0]} if arguments else {}
    rows = []
    for count, num_labels in CASES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), settings, count, num_labels))
    result = {"machine": machine(), "versions": versions("numpy"), "top_k": TOP_K, "rows": rows}
    (RESULTS / "embeddings.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
