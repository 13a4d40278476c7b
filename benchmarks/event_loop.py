"""Measures the CPU time of a request on the service's event loop, and in the whole process.

    python -m benchmarks.event_loop     writes benchmarks/results/event_loop.json; two minutes on two cores

There is one client. The service has the embedded model; labels are cached, and JPEGs of 640x480 are new. The event loop
runs on the main thread, whose CPU time Linux reports in nanoseconds (`/proc/PID/task/PID/schedstat`).
"""

import asyncio
import base64
import json
import statistics
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.clients import new_image, new_labels
from benchmarks.machine import RESULTS, machine, versions
from benchmarks.service import running

RUNS = 5
Send = Callable[[httpx.AsyncClient, bytes], Awaitable[httpx.Response]]


def cpu_ms(process_id: int) -> tuple[float, float]:
    """Returns the CPU time so far of the main thread and of all threads, in milliseconds."""
    threads = {
        path.name: int((path / "schedstat").read_text().split()[0]) / 1e6
        for path in Path(f"/proc/{process_id}/task").iterdir()
    }
    return threads[str(process_id)], sum(threads.values())


def by_form(labels: list[str]) -> Send:
    """Returns a function that sends labels as form fields; httpx sends each field as a separate chunk."""

    async def send(client: httpx.AsyncClient, image: bytes) -> httpx.Response:
        return await client.post("/classify", files={"image": ("a.jpg", image)}, data={"labels": labels})

    return send


def by_json(labels: list[str]) -> Send:
    """Returns a function that sends labels and image as JSON."""

    async def send(client: httpx.AsyncClient, image: bytes) -> httpx.Response:
        return await client.post("/classify", json={"image": base64.b64encode(image).decode(), "labels": labels})

    return send


def by_label_set() -> Send:
    """Returns a function that sends only an image, for the stored label set `thousand`."""

    async def send(client: httpx.AsyncClient, image: bytes) -> httpx.Response:
        query = {"label_set": "thousand", "top_k": 5}
        headers = {"Content-Type": "image/jpeg"}
        return await client.post("/classify", params=query, content=image, headers=headers)

    return send


async def measure(address: str, process_id: int) -> list[dict[str, Any]]:
    """Returns the times of each kind of request."""
    labels = new_labels(1_000)
    kinds = [
        ("10 labels, form by httpx", by_form(labels[:10]), 100),
        ("100 labels, form by httpx", by_form(labels[:100]), 60),
        ("1,000 labels, form by httpx", by_form(labels), 30),
        ("1,000 labels, JSON", by_json(labels), 60),
        ("label set, raw image, top_k 5", by_label_set(), 100),
    ]
    rows = []
    async with httpx.AsyncClient(base_url=address, timeout=900) as client:
        (await client.put("/label-sets/thousand", json={"labels": labels})).raise_for_status()
        for name, send, requests in kinds:
            (await send(client, new_image())).raise_for_status()
            runs = []
            for _ in range(RUNS):
                images = [new_image() for _ in range(requests)]
                before = cpu_ms(process_id)
                for image in images:
                    (await send(client, image)).raise_for_status()
                after = cpu_ms(process_id)
                runs.append([(late - early) / requests for early, late in zip(before, after, strict=True)])
            loop, process = ([run[index] for run in runs] for index in (0, 1))
            rows.append({"request": name, "event_loop_ms": round_all(loop), "process_ms": round_all(process)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def round_all(values: list[float]) -> dict[str, float]:
    """Returns the median, the lowest and the highest value of the runs."""
    return {
        "median": round(statistics.median(values), 3),
        "low": round(min(values), 3),
        "high": round(max(values), 3),
    }


def main() -> None:
    """Measures, prints and saves."""
    with running() as (process, address):
        rows = asyncio.run(measure(address, process.pid))
    packages = versions("fastapi", "starlette", "uvicorn", "multipart", "httpx")
    result = {"machine": machine(), "versions": packages, "runs": RUNS, "rows": rows}
    (RESULTS / "event_loop.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
