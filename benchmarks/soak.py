"""Sends good and bad requests for a long time, and checks the responses and that the service does not leak.

    python -m benchmarks.soak [REQUESTS]     writes benchmarks/results/soak.json; about ten minutes

The service is a separate process with the embedded model. Clients on loopback send a seeded random mix of `KINDS`:
every API and kind of body, broken and hostile files, short deadlines, clients that disconnect. At regular intervals the
service's resident memory, threads and open files are read from /proc. At its end it prints how often TensorFlow traced
each tower. Exits with 1 if a response had a status that its kind must not have, or if anything grew. Linux only.
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

from benchmarks.service import ROOT, environment, launch, usage
from benchmarks.soak_requests import KINDS, Answer, send

RESULTS = ROOT / "benchmarks/results/soak.json"
REQUESTS, CLIENTS, SAMPLES = 60_000, 8, 24
GROWTH_LIMIT = 0.03  # of resident memory, from the first third to the last third of the samples


def serve() -> int:
    """Serves as `python -m app serve` does, and prints at the end how often each tower was traced."""
    from app.cli.serve import serve as serve_app
    from app.observability.logs import configure_logging
    from app.settings import load_settings
    from model.engines.load import load_encoder

    settings = load_settings()
    configure_logging("text")
    encoder = load_encoder(max_batch=settings.max_batch)
    status = serve_app(settings, encoder)
    traces = [tower.experimental_get_tracing_count() for tower in (encoder.image_tower, encoder.text_tower)]
    print(json.dumps({"traces": traces}))
    return status


def start(folder: str, **more: str) -> tuple[subprocess.Popen[str], str]:
    """Returns the service's process and its address, once it is ready."""
    settings = {"DATA_DIR": folder, "MAX_BODY_BYTES": "2000000", "TEXT_CACHE_BYTES": "2000000"}
    settings |= {"IMAGE_CACHE_BYTES": "10000"} | more  # too small for the embeddings of all images
    return launch(["benchmarks.soak", "serve"], environment(**settings), " ready: ")


def soak(process_id: int, address: str, requests: int) -> dict[str, Any]:
    """Sends the requests; returns the samples and the number of responses by kind and status."""
    numbers, answers, samples = count(), Counter[Answer](), []
    lock = threading.Lock()

    def work(seed: int, until: int) -> None:
        rng = random.Random(seed)
        with httpx.Client(base_url=address, timeout=60) as client:
            while True:
                with lock:
                    number = next(numbers)
                if number >= until:
                    return
                answer = send(client, rng, number)
                with lock:
                    answers[answer] += 1

    for index in range(1, SAMPLES + 1):
        until = requests * index // SAMPLES
        numbers = count(requests * (index - 1) // SAMPLES)
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(work, range(index * CLIENTS, (index + 1) * CLIENTS), [until] * CLIENTS))
        time.sleep(0.5)  # for connections to close
        samples.append({"requests": until} | usage(process_id))
        print(json.dumps(samples[-1]), flush=True)
    return {"samples": samples, "answers": answers}


def problems_of(
    samples: list[dict[str, int]], answers: Counter[Answer], traced: dict[str, Any], status: int
) -> list[str]:
    """Returns a sentence for each wrong status and for everything that grew."""
    third = len(samples) // 3
    early, late = samples[:third], samples[-third:]
    growth = median(late, "resident_bytes") / median(early, "resident_bytes") - 1
    problems = [
        f"{kind}: status {code}, {n} times" for (kind, code), n in answers.items() if code not in KINDS[kind][2]
    ]
    if growth > GROWTH_LIMIT:
        problems.append(f"resident memory grew by {growth:.1%}")
    problems += [
        f"{name} grew"
        for name in ("threads", "open_files")
        if max(sample[name] for sample in late) > max(sample[name] for sample in early)
    ]
    if traced["traces"] != [1, 1]:
        problems.append(f"the towers were traced {traced['traces']} times instead of once")
    return problems + ([f"the service ended with status {status}"] if status else [])


def median(samples: list[dict[str, int]], name: str) -> int:
    """Returns the median of one value of the samples."""
    return sorted(sample[name] for sample in samples)[len(samples) // 2]


def main() -> int:
    """Runs the soak, prints and saves the results; returns the exit status."""
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
    problems = problems_of(found["samples"], found["answers"], traced, status)
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
    print(json.dumps(result["answers"], indent=2), *(problems or ["no problems found"]), sep="\n")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1:] == ["serve"] else main())
