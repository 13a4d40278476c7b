"""Measures the CPU time of a request on the service's event loop, and in the whole process.

    python -m benchmarks.event_loop [--before CHECKOUT]     writes benchmarks/results/event_loop.json

There is one client. The service has the embedded model; labels are cached, and JPEGs of 640x480 are new. The event loop
runs on the main thread, whose CPU time Linux reports in nanoseconds (`/proc/PID/task/PID/schedstat`). With `--before`,
the service of an older checkout is measured too: both run, and get their requests in turn, so that both have the same
machine. Then 16 clients send forms with 1,000 labels to each, for the requests per second.
"""

import argparse
import asyncio
import base64
import json
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.clients import new_image, new_labels
from benchmarks.machine import RESULTS, machine, versions
from benchmarks.service import ROOT, running

RUNS = 5
RATE_RUNS, CLIENTS, REQUESTS_EACH = 3, 16, 4
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


class Measured(NamedTuple):
    """A running service."""

    process_id: int
    client: httpx.AsyncClient


async def measure(services: dict[str, Measured]) -> list[dict[str, Any]]:
    """Returns the times of each kind of request, for each service."""
    labels = new_labels(1_000)
    kinds = [
        ("10 labels, form by httpx", by_form(labels[:10]), 100),
        ("100 labels, form by httpx", by_form(labels[:100]), 60),
        ("1,000 labels, form by httpx", by_form(labels), 30),
        ("1,000 labels, JSON", by_json(labels), 60),
        ("label set, raw image, top_k 5", by_label_set(), 100),
    ]
    rows = []
    for service in services.values():
        (await service.client.put("/label-sets/thousand", json={"labels": labels})).raise_for_status()
    for name, send, requests in kinds:
        runs: dict[str, list[list[float]]] = {which: [] for which in services}
        for which, service in [*services.items()] * (RUNS + 1):  # the first run fills the caches
            images = [new_image() for _ in range(requests)]
            before = cpu_ms(service.process_id)
            for image in images:
                (await send(service.client, image)).raise_for_status()
            after = cpu_ms(service.process_id)
            runs[which].append([(late - early) / requests for early, late in zip(before, after, strict=True)])
        for which, times in runs.items():
            loop, process = ([run[index] for run in times[1:]] for index in (0, 1))
            rows.append(
                {"request": name, "code": which, "event_loop_ms": round_all(loop), "process_ms": round_all(process)}
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


async def requests_per_s(services: dict[str, Measured]) -> dict[str, dict[str, float]]:
    """Returns how many forms with 1,000 labels each service answers per second, sent by 16 clients in turn."""
    send = by_form(new_labels(1_000))
    rates: dict[str, list[float]] = {which: [] for which in services}
    for which, service in [*services.items()] * (RATE_RUNS + 1):

        async def work(client: httpx.AsyncClient = service.client) -> None:
            for _ in range(REQUESTS_EACH):
                (await send(client, new_image())).raise_for_status()

        began_s = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(CLIENTS)))
        rates[which].append(CLIENTS * REQUESTS_EACH / (time.perf_counter() - began_s))
    return {which: round_all(found[1:]) for which, found in rates.items()}


def round_all(values: list[float]) -> dict[str, float]:
    """Returns the median, the lowest and the highest value of the runs."""
    return {
        "median": round(statistics.median(values), 3),
        "low": round(min(values), 3),
        "high": round(max(values), 3),
    }


async def measure_all(addresses: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """Returns all results for services, which are process ids and addresses."""
    async with AsyncExitStack() as stack:
        services = {
            which: Measured(pid, await stack.enter_async_context(httpx.AsyncClient(base_url=address, timeout=900)))
            for which, (pid, address) in addresses.items()
        }
        return {"rows": await measure(services), "requests_per_s": await requests_per_s(services)}


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--before", type=Path, help="a checkout of older code")
    before = parser.parse_args().before
    with ExitStack() as stack:
        addresses = {}
        for which, checkout in (("before", before), ("now", ROOT)):
            if checkout:
                process, address = stack.enter_context(running(checkout))
                addresses[which] = (process.pid, address)
        found = asyncio.run(measure_all(addresses))
    packages = versions("fastapi", "starlette", "uvicorn", "multipart", "httpx")
    result = {"machine": machine(), "versions": packages, "runs": RUNS} | found
    (RESULTS / "event_loop.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
