"""Measures what a request costs the processes of a service, for `benchmarks.capacity`, and checks its prediction.

    python -m benchmarks.capacity_costs     writes benchmarks/results/capacity.json; five minutes on two cores

The encoder answers at once, so that only the service is measured; the images are new. CPU time is read from /proc and
fitted to bytes, pixels and labels. Then services with one and with two front ends are driven to their limit with
requests that were not used for the fit. Two more runs at the limit say how much of the cores stays idle.
"""

import asyncio
import io
import json
import time
from contextlib import ExitStack
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.capacity import Costs, Load, requests_per_s
from benchmarks.clients import new_labels
from benchmarks.machine import RESULTS, machine, versions
from benchmarks.processes import CLIENTS, Service, cpu_s, launch_instant, memory_bytes, raw, roles, send_all

SIZES = ((320, 240), (640, 480), (1280, 960), (1920, 1440))
LABELS = (1, 100, 1_000)
REQUESTS = 150
IDLE, FULL = Load(640, 480, 0, 10), Load(320, 240, 0, 2_000)  # limited by the cores, and by the process that serves
CHECKS = (Load(800, 600, 0, 10), Load(1600, 1200, 0, 10), Load(800, 600, 0, 500))
CHECK_REQUESTS, CHECK_ROUNDS = 300, 3

numbers = count()
noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
canvas = Image.fromarray(noise).resize((2400, 1800), Image.Resampling.BICUBIC)


def jpeg(width: int, height: int) -> bytes:
    """Returns a JPEG that differs from all earlier ones."""
    left = next(numbers)
    file = io.BytesIO()
    canvas.crop((left % 400, left // 400, left % 400 + width, left // 400 + height)).save(file, "JPEG", quality=90)
    return file.getvalue()


def cpu_ms(service: Service, requests: list[bytes]) -> dict[str, float]:
    """Returns the CPU time of a request by role, in milliseconds."""
    before = cpu_s(service.process_id)
    asyncio.run(send_all(service, requests, CLIENTS))
    used: dict[str, float] = {}
    known = roles(service)
    for pid, seconds in cpu_s(service.process_id).items():
        used[known[pid]] = used.get(known[pid], 0) + 1000 * (seconds - before.get(pid, 0)) / len(requests)
    return used


class Sample(NamedTuple):
    """A kind of request, and its CPU milliseconds by role."""

    load: Load
    cpu_ms: dict[str, float]


def sampled(service: Service) -> list[Sample]:
    """Returns the cost of each kind of request."""
    samples = []
    for width, height in SIZES:
        for number in LABELS:
            labels = new_labels(number)
            requests = [raw(jpeg(width, height), labels) for _ in range(REQUESTS)]
            asyncio.run(send_all(service, [raw(jpeg(width, height), labels) for _ in range(8)], 8))  # caches the labels
            size_bytes = sum(map(len, requests)) // REQUESTS
            samples.append(Sample(Load(width, height, size_bytes, number), cpu_ms(service, requests)))
            print(json.dumps({"width": width, "labels": number, "cpu_ms": samples[-1].cpu_ms}), flush=True)
    return samples


def fitted(one: list[Sample], two: list[Sample]) -> Costs:
    """Returns the costs that fit the samples best, with one process and with two front ends."""

    def fit(columns: list[list[float]], values: list[float]) -> list[float]:
        matrix = np.array([[1.0, *row] for row in columns])
        weights = 1 / np.array(values)  # relative errors count
        solution, *_ = np.linalg.lstsq(matrix * weights[:, None], np.ones(len(values)), rcond=None)
        return [float(value) for value in solution]

    shape = [[each.load.megabytes, each.load.labels] for each in one]
    alone = fit(shape, [each.cpu_ms["front_end"] for each in one])
    shared = fit(shape, [each.cpu_ms["front_end"] for each in two])
    decode = fit([[each.load.megapixels] for each in one], [each.cpu_ms["decode"] for each in one])
    device_ms = float(np.median([each.cpu_ms["device"] for each in two]))
    return Costs(
        single_ms=(alone[0], alone[1], alone[2]),
        front_end_ms=(shared[0], shared[1], shared[2]),
        decode_ms=(decode[0], decode[1]),
        device_ms=device_ms,
    )


def limit(service: Service, load: Load) -> tuple[Load, float, float]:
    """Returns a load with its bytes, the requests per second that a service reaches, and the clients' CPU time."""
    labels = new_labels(load.labels)
    rates, own_ms = [], []
    for round_number in range(CHECK_ROUNDS + 1):
        requests = [raw(jpeg(load.width, load.height), labels) for _ in range(CHECK_REQUESTS)]
        began_s = time.process_time()
        elapsed_s = asyncio.run(send_all(service, requests, CLIENTS))
        if round_number:  # the first one fills the text cache
            rates.append(CHECK_REQUESTS / elapsed_s)
            own_ms.append(1000 * (time.process_time() - began_s) / CHECK_REQUESTS)
    return load._replace(bytes=len(requests[0])), float(np.median(rates)), float(np.median(own_ms))


def with_idle_time(costs: Costs, services: dict[int, Service]) -> Costs:
    """Returns the costs with what services at their limit leave unused."""
    idle_ms = []
    for processes, service in services.items():
        load, per_s, clients_ms = limit(service, IDLE)
        idle_ms.append(max(0.0, 2 * 1000 / per_s - costs.total_ms(load, processes) - clients_ms))
    load, per_s, _ = limit(services[1], FULL)
    return costs._replace(
        idle_ms=(idle_ms[0], idle_ms[1]), share_of_core=min(1.0, per_s * costs.serving_ms(load, 1) / 1000)
    )


def main() -> None:
    """Measures, prints and saves."""
    with ExitStack() as stack:
        services = {processes: launch_instant(stack, processes) for processes in (1, 2)}
        costs = fitted(*(sampled(service) for service in services.values()))
        costs = with_idle_time(costs, services)
        checks = []
        for load in CHECKS:
            for processes, service in services.items():
                sent, measured, clients_ms = limit(service, load)
                predicted = requests_per_s(costs, sent, processes, cores=2, clients_ms=clients_ms)
                checks.append(
                    {
                        **sent._asdict(),
                        "processes": processes,
                        "predicted_per_s": round(predicted, 1),
                        "measured_per_s": round(measured, 1),
                    }
                )
                print(json.dumps(checks[-1]), flush=True)
        memory: dict[str, Any] = {"single": [memory_bytes([services[1].process_id])]}
        for pid, role in roles(services[2]).items():
            memory.setdefault(role, []).append(memory_bytes([pid]))
    result = {
        "machine": machine(),
        "versions": versions("uvicorn", "pillow", "numpy"),
        "costs_ms": costs._asdict(),
        "memory_bytes": {role: round(sum(found) / len(found)) for role, found in memory.items()},
        "checks": checks,
    }
    (RESULTS / "capacity.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
