"""Measures how long the service takes to start, relative to importing TensorFlow and reading the weights.

    python -m benchmarks.start DIRECTORY [PATH...]     writes benchmarks/results/start.json; seven minutes with a base
                                                       model on two cores

Each PATH is an engine, or an engine, a slash and a dtype. The embedded checkpoint and DIRECTORY's are measured with
each. The floor is a process that imports TensorFlow and reads the weights file. Each round measures every path and the
floor once. The first round, which also fills OpenVINO's cache, is not counted. One more start of each path shows when
each stage began, from the service's log and /health/startup.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, cast

import httpx

from benchmarks.machine import machine, spread, versions
from benchmarks.service import ROOT, engine_settings, environment, launch, running
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

RESULTS = ROOT / "benchmarks/results/start.json"
ROUNDS, TARGET = 5, 1.3
PATHS = ["tensorflow", "openvino"]
FLOOR = "import sys, tensorflow; open(sys.argv[1], 'rb').read(); print('read', flush=True)"


def floor_s(directory: Path) -> float:
    """Returns how long a process takes to import TensorFlow and to read the weights."""
    began_s = time.perf_counter()
    command = [sys.executable, "-c", FLOOR, str(directory / "model.safetensors")]
    quiet = environment() | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(command, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        cast("IO[str]", process.stdout).readline()
        return time.perf_counter() - began_s


def start_s(directory: Path, path: str) -> float:
    """Returns how long the service takes until it is ready."""
    began_s = time.perf_counter()
    with running(WEIGHTS=str(directory), **engine_settings(path)):
        return time.perf_counter() - began_s


def stages(directory: Path, path: str) -> dict[str, float]:
    """Returns the seconds of each stage of one start. Polling the stage makes the start a little slower."""
    began_s = time.perf_counter()
    begins = {"the service's imports": 0.0}
    ready = threading.Event()

    def on_line(line: str) -> None:
        now_s = time.perf_counter() - began_s
        if found := re.search(r"listening on (http://\S+)", line):
            begins["the engine's import"] = now_s
            threading.Thread(target=poll, args=(found[1],)).start()
        elif found := re.search(r" INFO ([a-z]+ing)$", line.rstrip()):
            begins[found[1]] = now_s
        elif " ready: " in line:
            begins["ready"] = now_s
            ready.set()

    def poll(address: str) -> None:
        with httpx.Client(timeout=60) as client:
            while not ready.wait(0.01):
                stage = re.search(r"not ready: ([\w -]+)\.", client.get(f"{address}/health/startup").text)
                if stage and stage[1] not in ("starting", "loading"):  # "loading" begins too early, during imports
                    begins.setdefault(stage[1], time.perf_counter() - began_s)

    with tempfile.TemporaryDirectory() as folder:
        settings = environment(WEIGHTS=str(directory), DATA_DIR=folder, DRAIN_S="0", **engine_settings(path))
        process, _ = launch(["app", "serve"], settings, " ready: ", on_line)
        process.terminate()
        process.wait()
    moments = sorted(begins.items(), key=lambda moment: moment[1])
    return {name: round(end - begin, 2) for (name, begin), (_, end) in pairwise(moments)}


def main(directory: str, paths: list[str]) -> None:
    """Measures, prints and saves."""
    rows = []
    for checkpoint in (EMBEDDED_DIRECTORY / EMBEDDED[1], Path(directory)):
        contenders = {path: partial(start_s, checkpoint, path) for path in paths}
        contenders["floor"] = partial(floor_s, checkpoint)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for number in range(ROUNDS + 1):
            for name, contender in contenders.items():
                seconds = contender()
                if number:  # the first round reads files that are not yet in memory
                    times[name].append(round(seconds, 3))
        for path in paths:
            ratios = [ours / floor for ours, floor in zip(times[path], times["floor"], strict=True)]
            row = {"what": f"{checkpoint.name}, {path}", "target": f"at most {TARGET}", **spread(ratios)}
            row |= {"start_s": times[path], "floor_s": times["floor"], "stages_s": stages(checkpoint, path)}
            print(json.dumps(row), flush=True)
            rows.append(row)
    result = {"machine": machine(), "versions": versions("tensorflow", "keras", "openvino"), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] or PATHS)
