"""Whether the service can be left alone: good and bad requests for a long time, and what it holds meanwhile.

    python -m benchmarks.soak [REQUESTS]     writes benchmarks/results/soak.json; about ten minutes

The service is a process of its own with the embedded model. Clients on loopback send what `KINDS` lists, in a seeded
mix: every body and surface, broken and hostile files, deadlines that pass, clients that leave. Every so many requests
its resident memory, threads and open files are read from /proc; at its end it says how often TensorFlow has traced.
Exits with 1 if an answer was not of a status that its kind may have, or if anything has grown. Linux only.
"""

import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import IO, Any, cast

import httpx

from benchmarks.service import ROOT, environment, held, launch
from benchmarks.soak_requests import KINDS, Answer, send

RESULTS = ROOT / "benchmarks/results/soak.json"
REQUESTS, CLIENTS, SAMPLES = 60_000, 8, 24
GROWTH_LIMIT = 0.03  # of resident memory, from the first third to the last: less than the text cache may take


def serve() -> int:
    """Serves, as `python -m app serve` does, and says at the end how often each tower was traced."""
    from app.http.server import serve as serve_until_told
    from app.observability.logs import configure_logging
    from app.settings import load_settings
    from model.engines.load import load_encoder

    settings = load_settings()
    configure_logging("text")
    encoder = load_encoder(max_batch=settings.max_batch)
    status = serve_until_told(settings, encoder)
    traces = [tower.experimental_get_tracing_count() for tower in (encoder.image_tower, encoder.text_tower)]
    print(json.dumps({"traces": traces}))
    return status


def start(folder: str, **more: str) -> tuple[subprocess.Popen[str], str]:
    """Returns the service's process and its address, once it is ready."""
    settings = {"DATA_DIR": folder, "MAX_BODY_BYTES": "2000000", "TEXT_CACHE_BYTES": "2000000"}
    settings |= {"IMAGE_CACHE_BYTES": "10000"} | more  # less than all its images take
    return launch(["benchmarks.soak", "serve"], environment(**settings), " ready: ")


def soak(process_id: int, address: str, requests: int) -> dict[str, Any]:
    """Sends the requests, and returns the samples and how they ended."""
    numbers, answers, samples = count(), Counter[Answer](), []
    lock = threading.Lock()

    def work(seed: int, until: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(base_url=address, timeout=60) as client:
            while True:
                with lock:
                    number = next(numbers)
                if number >= until:
                    return
                answer = send(client, chance, number)
                with lock:
                    answers[answer] += 1

    for index in range(1, SAMPLES + 1):
        until = requests * index // SAMPLES
        numbers = count(requests * (index - 1) // SAMPLES)
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(work, range(index * CLIENTS, (index + 1) * CLIENTS), [until] * CLIENTS))
        time.sleep(0.5)  # for connections to close
        samples.append({"requests": until} | held(process_id))
        print(json.dumps(samples[-1]), flush=True)
    return {"samples": samples, "answers": answers}


def summary(samples: list[dict[str, int]], answers: Counter[Answer], traced: dict[str, Any], status: int) -> list[str]:
    """Returns what was not as it must be."""
    third = len(samples) // 3
    early, late_ = samples[:third], samples[-third:]
    growth = median(late_, "resident_bytes") / median(early, "resident_bytes") - 1
    problems = [
        f"{kind}: status {code}, {n} times" for (kind, code), n in answers.items() if code not in KINDS[kind][2]
    ]
    if growth > GROWTH_LIMIT:
        problems.append(f"resident memory has grown by {growth:.1%}")
    problems += [
        f"{name} has grown"
        for name in ("threads", "open_files")
        if max(sample[name] for sample in late_) > max(sample[name] for sample in early)
    ]
    if traced["traces"] != [1, 1]:
        problems.append(f"traced {traced['traces']} times")
    return problems + ([f"the service has ended with status {status}"] if status else [])


def median(samples: list[dict[str, int]], name: str) -> int:
    """Returns the middle one of a sample's values."""
    return sorted(sample[name] for sample in samples)[len(samples) // 2]


def main() -> int:
    """Soaks, prints and saves; returns the exit status."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(folder)
        began_s = time.perf_counter()
        try:
            found = soak(process.pid, address, requests)
            seconds = time.perf_counter() - began_s
        finally:
            process.send_signal(signal.SIGINT)
            traced = json.loads(cast("IO[str]", process.stdout).read().splitlines()[-1])
            status = process.wait()
    problems = summary(found["samples"], found["answers"], traced, status)
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "requests": requests,
        "clients": CLIENTS,
        "seconds": round(seconds),
        "answers": {kind: {str(c): n for (k, c), n in sorted(found["answers"].items()) if k == kind} for kind in KINDS},
        "samples": found["samples"],
        **traced,
        "problems": problems,
    }
    if requests >= REQUESTS:
        RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["answers"], indent=2), *(problems or ["nothing has grown, nothing was wrong"]), sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main())
