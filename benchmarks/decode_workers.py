"""Measures what decoding in worker processes costs and protects, next to a checkout that decodes in threads.

    python -m benchmarks.decode_workers --before CHECKOUT    writes benchmarks/results/decode_workers.json

The two services take turns in each round. The service has the embedded model, and no image is cached. Linux only.
"""

import argparse
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from app.images.prepare import Preparation
from app.images.worker_process import Limits
from app.images.workers import Workers
from benchmarks.clients import new_image, new_labels, rate
from benchmarks.event_loop import cpu_ms
from benchmarks.machine import RESULTS, machine, versions
from benchmarks.service import ROOT, running
from model.preprocess import Preprocessor

ROUNDS, IMAGES, TEXTS = 3, 1_000, 300
DECODES, LARGE_IMAGES = 12, 8


def latency() -> dict[str, Any]:
    """Returns the quartiles of decoding and resizing a JPEG of 640x480, in milliseconds.

    Each image is prepared in a thread and in a worker, one after the other.
    """
    preparation = Preparation(Preprocessor((224, 224)), max_image_pixels=50_000_000)
    times: dict[str, list[float]] = {"thread": [], "worker": []}
    workers = Workers(preparation, processes=1, limits=Limits(1_000_000_000))
    workers.start()
    with ThreadPoolExecutor(1) as thread:
        ways: dict[str, Callable[[bytes], object]] = {
            "thread": lambda image: thread.submit(preparation.prepare, image, 0).result(),
            "worker": lambda image: thread.submit(workers.prepare, image).result(),
        }
        for image in [new_image() for _ in range(IMAGES)]:
            for name, work in ways.items():
                start_s = time.perf_counter()
                work(image)
                times[name].append(1000 * (time.perf_counter() - start_s))
    workers.close()
    return {name: [round(each, 2) for each in statistics.quantiles(found)] for name, found in times.items()}


def large_file(side: int) -> bytes:
    """Returns a PNG with transparency of about `side` x `side` pixels."""
    image = Image.linear_gradient("L").resize((side, side)).convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize((side, side)))
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def with_another_end(file: bytes, number: int) -> bytes:
    """Returns the file with bytes behind its end, which no decoder reads, so that no cache contains it."""
    return file + number.to_bytes(4, "big")


def text_p99_ms(address: str) -> float:
    """Returns the 99th percentile of embedding one new text."""
    times = []
    with httpx.Client(base_url=address, timeout=900) as client:
        for (text,) in (new_labels(1) for _ in range(TEXTS)):
            start_s = time.perf_counter()
            client.post("/embed/text", json={"texts": [text]}).raise_for_status()
            times.append(1000 * (time.perf_counter() - start_s))
    return statistics.quantiles(times, n=100)[98]


@contextmanager
def decoding(address: str, file: bytes, clients: int) -> Iterator[None]:
    """Has clients send large images one after the other during the block."""
    end = threading.Event()
    numbers = iter(range(10**6))

    def send() -> None:
        with httpx.Client(base_url=address, timeout=900) as client:
            while not end.is_set():
                content = with_another_end(file, next(numbers))
                response = client.post("/embed/image", content=content, headers={"Content-Type": "image/png"})
                response.raise_for_status()

    with ThreadPoolExecutor(clients) as pool:
        sending = [pool.submit(send) for _ in range(clients)]
        yield
        end.set()
    for one in sending:
        one.result()


def processes(pid: int) -> list[int]:
    """Returns a process and all processes below it."""
    found = [pid]
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in file.read_text().split():
            found += processes(int(child))
    return found


def pss_bytes(pid: int) -> int:
    """Returns the memory of a process and those below it; pages that they share count once."""
    total = 0
    for each in processes(pid):
        try:
            text = Path(f"/proc/{each}/smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        total += sum(1024 * int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total


def peak_bytes(process: subprocess.Popen[str], address: str, file: bytes) -> int:
    """Returns the most memory of the service while it decodes `LARGE_IMAGES` images at once."""
    peak, end = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not end.wait(0.02):
            peak = max(peak, pss_bytes(process.pid))

    with ThreadPoolExecutor(LARGE_IMAGES + 1) as pool:
        watching = pool.submit(watch)
        files = [with_another_end(file, number) for number in range(LARGE_IMAGES)]
        headers = {"Content-Type": "image/png"}
        list(
            pool.map(lambda one: httpx.post(f"{address}/embed/image", content=one, headers=headers, timeout=900), files)
        )
        end.set()
        watching.result()
    return peak


def measure(checkout: Path) -> dict[str, float]:
    """Returns the numbers of one service."""
    labels = new_labels(10)
    found: dict[str, float] = {}
    with running(checkout, IMAGE_CACHE_BYTES="0") as (process, address):
        rate(address, [new_image() for _ in range(100)], [labels] * 100)
        found["requests_per_s"] = rate(address, [new_image() for _ in range(500)], [labels] * 500)
        with httpx.Client(base_url=address, timeout=900) as client:
            images = [new_image() for _ in range(300)]
            before, _ = cpu_ms(process.pid)
            for image in images:
                files = {"image": ("a.jpg", image)}
                client.post("/classify", files=files, data={"labels": labels}).raise_for_status()
            found["event_loop_ms"] = (cpu_ms(process.pid)[0] - before) / len(images)
        found["text_p99_ms"] = text_p99_ms(address)
        with decoding(address, large_file(3_500), DECODES):
            time.sleep(1)
            found["text_p99_beside_decodes_ms"] = text_p99_ms(address)
    with running(checkout) as (process, address):
        found["idle_bytes"] = pss_bytes(process.pid)
        found["peak_bytes"] = peak_bytes(process, address, large_file(7_071))
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the code that decodes in threads")
    before = parser.parse_args().before
    result: dict[str, Any] = {"machine": machine(), "versions": versions("pillow", "numpy"), "rounds": ROUNDS}
    result["prepare_quartiles_ms"] = latency()
    print(result["prepare_quartiles_ms"], flush=True)
    rows: dict[str, list[dict[str, float]]] = {"threads": [], "workers": []}
    for _ in range(ROUNDS):
        for name, checkout in (("threads", before), ("workers", ROOT)):
            rows[name].append(measure(checkout))
            print(name, rows[name][-1], flush=True)
    result["services"] = {
        name: {what: statistics.median(row[what] for row in found) for what in found[0]} for name, found in rows.items()
    }
    (RESULTS / "decode_workers.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
