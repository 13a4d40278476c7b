"""Measures how fast a full service refuses requests with 429, and how fast it answers health checks meanwhile.

    python -m benchmarks.overload               writes benchmarks/results/overload.json; half a minute

The service is a separate process with the embedded model and accepts eight images at once. Three times as many clients,
in another process on the same machine, send an image again and again, so most requests are refused. One more client
measures.
"""

import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.soak import start
from benchmarks.soak_requests import IMAGES, PNG

RESULTS = Path(__file__).parent / "results/overload.json"
ITEMS, CLIENTS, SECONDS = 8, 24, 15
Times = dict[str, list[float]]


def load(address: str, seconds: float) -> None:
    """Keeps the service full, from a separate process. A client waits 50 ms after a refusal."""
    ends_s = time.perf_counter() + seconds

    def send(_: int) -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            while time.perf_counter() < ends_s:
                if classify(client).status_code == 429:
                    time.sleep(0.05)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(send, range(CLIENTS)))


def classify(client: httpx.Client) -> httpx.Response:
    """Sends one image."""
    return client.post("/classify", params={"labels": ["cat", "dog"]}, content=IMAGES[0], headers=PNG)


def measure(address: str, seconds: float) -> Times:
    """Returns the times of each kind of response. Requests are sent one at a time."""
    times: Times = defaultdict(list)
    ends_s = time.perf_counter() + seconds
    requests: list[tuple[str, Callable[[httpx.Client], httpx.Response]]] = [
        ("POST /classify", classify),
        ("GET /health/live", lambda client: client.get("/health/live")),
        ("GET /health/ready", lambda client: client.get("/health/ready")),
    ]
    with httpx.Client(base_url=address, timeout=60) as client:
        while time.perf_counter() < ends_s:
            for name, request in requests:
                began_s = time.perf_counter()
                response = request(client)
                times[f"{name}: {response.status_code}"].append(time.perf_counter() - began_s)
    return times


def main() -> int:
    """Measures, prints and saves."""
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(folder, MAX_QUEUE_ITEMS=str(ITEMS), IMAGE_CACHE_BYTES="0")
        loader = multiprocessing.get_context("spawn").Process(target=load, args=(address, SECONDS + 2))
        try:
            loader.start()
            time.sleep(2)
            times = measure(address, SECONDS)
            loader.join()
        finally:
            process.terminate()
            process.wait()
    rows = [
        {
            "answer": name,
            "count": len(taken),
            "median_ms": round(statistics.median(taken) * 1000, 1),
            "p99_ms": round(statistics.quantiles(taken, n=100)[-1] * 1000, 1),
        }
        for name, taken in sorted(times.items())
    ]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    RESULTS.write_text(
        json.dumps({"machine": machine, "items": ITEMS, "clients": CLIENTS, "seconds": SECONDS, "rows": rows}, indent=2)
        + "\n"
    )
    for row in rows:
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
