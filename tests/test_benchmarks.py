"""The benchmark that other people run, as a process."""

import json
import os
import subprocess
import sys
from pathlib import Path

from model.config import EMBEDDED, EMBEDDED_DIRECTORY

ROOT = Path(__file__).parent.parent


def test_the_gpu_benchmark_runs_without_a_gpu_and_says_so(tmp_path):
    output = tmp_path / "gpu.json"
    options = ["--max-batch", "1", "--repeats", "2", "--output", str(output)]
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--weights", str(EMBEDDED_DIRECTORY / EMBEDDED[1]), *options],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert process.stdout.startswith("NO GPU")
    result = json.loads(output.read_text())
    assert result["machine"]["gpu"] is None
    ways = [("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)]
    assert [(row["dtype"], row["xla"], row["peak_bytes"]) for row in result["start"]] == [(*way, None) for way in ways]
    assert [(row["tower"], row["batch"], row["dtype"], row["xla"]) for row in result["rows"]] == [
        (tower, batch, *way) for tower in ("image", "text") for batch in (1,) for way in ways
    ]
    for row in result["rows"]:
        assert row["quartiles_ms"][0] <= row["median_ms"] <= row["quartiles_ms"][1]
    assert [(row["dtype"], row["xla"]) for row in result["fidelity"]] == ways[1:]
    for row in result["fidelity"]:
        assert 0.98 < row["image_cosine_worst"] <= row["image_cosine_mean"] < 1.001
        assert 0.98 < row["text_cosine_worst"] <= row["text_cosine_mean"] < 1.001
        assert row["top_1_agreement"] > 0.8
