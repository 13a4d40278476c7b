"""How the service refuses when it is full: how fast a 429 comes, and how fast probes answer meanwhile.

    python -m benchmarks.overload               writes benchmarks/results/overload.json; half a minute

The service is a process of its own with the embedded model and room for eight images. Four times as many clients on
loopback send a picture again and again, so that most are refused, while another asks the probes.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from benchmarks.soak import start
from benchmarks.soak_requests import PICTURES, PNG

RESULTS = Path(__file__).parent / "results/overload.json"
ITEMS, CLIENTS, SECONDS = 8, 32, 15
Times = dict[str, list[float]]


def classify(address: str, ends_s: float, times: Times, lock: threading.Lock) -> None:
    """Sends pictures until the time is over; a refused client waits a moment, as a polite one would."""
    with httpx.Client(base_url=address, timeout=60) as client:
        while time.perf_counter() < ends_s:
            began_s = time.perf_counter()
            answer = client.post("/classify", params={"labels": ["cat", "dog"]}, content=PICTURES[0], headers=PNG)
            took_s = time.perf_counter() - began_s
            with lock:
                times[str(answer.status_code)].append(took_s)
            if answer.status_code == 429:
                time.sleep(0.05)


def probe(address: str, ends_s: float, times: Times, lock: threading.Lock) -> None:
    """Asks the probes until the time is over."""
    with httpx.Client(base_url=address, timeout=60) as client:
        while time.perf_counter() < ends_s:
            for path in ("/health/live", "/health/ready"):
                began_s = time.perf_counter()
                status = client.get(path).status_code
                with lock:
                    times[f"{path} {status}"].append(time.perf_counter() - began_s)
            time.sleep(0.02)


def main() -> int:
    """Measures, prints and saves."""
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(folder, MAX_QUEUE_ITEMS=str(ITEMS))
        times: Times = defaultdict(list)
        lock, ends_s = threading.Lock(), time.perf_counter() + SECONDS
        try:
            with ThreadPoolExecutor(CLIENTS + 1) as pool:
                work = [pool.submit(classify, address, ends_s, times, lock) for _ in range(CLIENTS)]
                work.append(pool.submit(probe, address, ends_s, times, lock))
                for done in work:
                    done.result()
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
