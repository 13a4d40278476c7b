"""Computes what a number of images per second needs: processes, machines, GPUs and memory, and what limits them.

    python -m benchmarks.capacity --device-images-per-s 2000 --width 640 --height 480 --bytes 100000 --labels 10

The costs of a request are those of benchmarks/results/capacity.json, which `benchmarks.capacity_costs` measures; the
images per second of a GPU, or of a CPU, are the reader's, from `benchmarks.gpu` or `benchmarks.towers`.
"""

import argparse
import json
import math
from typing import NamedTuple

from benchmarks.machine import RESULTS

TARGETS = (100, 10_000, 1_000_000)
BUSY = 0.7  # how much of a machine is planned to be used; above that, waiting times grow


class Load(NamedTuple):
    """One kind of request: the image's size in pixels, the size of the request, and the number of cached labels."""

    width: int
    height: int
    bytes: int
    labels: int

    @property
    def megapixels(self) -> float:
        """The image's size."""
        return self.width * self.height / 1e6

    @property
    def megabytes(self) -> float:
        """The request's size."""
        return self.bytes / 1e6


class Costs(NamedTuple):
    """CPU milliseconds of a request.

    Each has the time of any request, and then the time per megabyte and per label, or per megapixel. `single_ms` is of
    the only process of a service, without its towers. Two parts are not CPU time: `idle_ms` is the time of a request
    in which cores have no work although requests wait, in a service of one process and in one of several; and
    `share_of_core` is what a process that serves uses of its core at most.
    """

    single_ms: tuple[float, float, float]
    front_end_ms: tuple[float, float, float]
    decode_ms: tuple[float, float]
    device_ms: float
    idle_ms: tuple[float, float] = (0.0, 0.0)
    share_of_core: float = 1.0

    def serving_ms(self, load: Load, processes: int) -> float:
        """Returns the CPU time in a process that serves."""
        fixed, per_megabyte, per_label = self.single_ms if processes == 1 else self.front_end_ms
        return fixed + per_megabyte * load.megabytes + per_label * load.labels

    def decoding_ms(self, load: Load) -> float:
        """Returns the CPU time in a decode worker."""
        fixed, per_megapixel = self.decode_ms
        return fixed + per_megapixel * load.megapixels

    def total_ms(self, load: Load, processes: int) -> float:
        """Returns the CPU time in all processes, without idle time."""
        return self.serving_ms(load, processes) + self.decoding_ms(load) + (self.device_ms if processes > 1 else 0)


def requests_per_s(costs: Costs, load: Load, processes: int, cores: int, clients_ms: float = 0.0) -> float:
    """Returns what the processes of one machine can serve, if the device does not limit them.

    A process that serves computes on one core at a time. `clients_ms` is the CPU time of clients on the same machine.
    """
    by_process = processes * 1000 * costs.share_of_core / costs.serving_ms(load, processes)
    idle_ms = costs.idle_ms[processes > 1]
    by_cores = cores * 1000 / (costs.total_ms(load, processes) + idle_ms + clients_ms)
    by_device = 1000 / costs.device_ms if processes > 1 else math.inf
    return min(by_process, by_cores, by_device)


class Replica(NamedTuple):
    """What one replica with one device reaches, and what it needs for that."""

    images_per_s: float
    limit: str
    processes: int
    decode_workers: int
    cores: float
    memory_bytes: float


def replica(
    costs: Costs, memory_bytes: dict[str, float], load: Load, device_per_s: float, cores: int, target_per_s: float
) -> Replica:
    """Returns the plan for one replica.

    Args:
        costs: The CPU time of a request.
        memory_bytes: The memory of each kind of process; the model's is not in it.
        load: The requests.
        device_per_s: The images per second of the device, a GPU or the cores that are left for the towers.
        cores: The cores for the service.
        target_per_s: The images per second of all replicas. There are no more front ends than these need.
    """
    processes = 1
    while True:
        limits = {
            "device": device_per_s,
            "cores": BUSY * cores * 1000 / (costs.total_ms(load, processes) + costs.idle_ms[processes > 1]),
            "processes": BUSY * processes * 1000 * costs.share_of_core / costs.serving_ms(load, processes),
        }
        if processes > 1:
            limits["device process"] = BUSY * 1000 / costs.device_ms
        limit = min(limits, key=lambda name: limits[name])
        if limit != "processes" or processes >= cores or limits[limit] >= target_per_s:
            break
        processes += 1
    images_per_s = limits[limit]
    workers = max(processes, math.ceil(min(images_per_s, target_per_s) * costs.decoding_ms(load) / 1000 / BUSY))
    used = memory_bytes["decode"] * workers + memory_bytes["single"]
    if processes > 1:
        used = used - memory_bytes["single"] + sum(memory_bytes[each] for each in ("device", "supervisor"))
        used += memory_bytes["front_end"] * processes
    return Replica(images_per_s, limit, processes, workers, images_per_s * costs.total_ms(load, processes) / 1000, used)


def table(costs: Costs, memory_bytes: dict[str, float], load: Load, device_per_s: float, cores: int) -> str:
    """Returns the plans for all targets, as a table."""
    lines = [
        "| images/s | replicas | front ends each | decode workers each | busy cores | memory without models | network "
        "| saturates first |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for target in TARGETS:
        one = replica(costs, memory_bytes, load, device_per_s, cores, target)
        replicas = math.ceil(target / one.images_per_s)
        busy = one.cores * target / one.images_per_s
        memory, network = f"{one.memory_bytes * replicas / 1e9:,.1f} GB", f"{target * load.bytes * 8e-9:,.2f} Gbit/s"
        sizes = [f"{target:,}", f"{replicas:,}", one.processes, one.decode_workers, f"{busy:,.0f}", memory, network]
        lines.append("| " + " | ".join(map(str, [*sizes, one.limit])) + " |")
    return "\n".join(lines)


def read_costs() -> tuple[Costs, dict[str, float]]:
    """Returns the measured costs, and the memory of each kind of process."""
    found = json.loads((RESULTS / "capacity.json").read_text(encoding="utf-8"))
    return Costs(**found["costs_ms"]), found["memory_bytes"]


def main() -> None:
    """Prints the plans for the reader's numbers."""
    parser = argparse.ArgumentParser(description="What a number of images per second needs.")
    parser.add_argument("--device-images-per-s", type=float, required=True, help="of one GPU, or of a CPU's cores")
    parser.add_argument("--cores", type=int, default=8, help="for the service, in each replica")
    parser.add_argument("--width", type=int, default=640, help="of an image, in pixels")
    parser.add_argument("--height", type=int, default=480, help="of an image, in pixels")
    parser.add_argument("--bytes", type=int, default=100_000, help="of a request")
    parser.add_argument("--labels", type=int, default=10, help="of a request, cached")
    given = parser.parse_args()
    load = Load(given.width, given.height, given.bytes, given.labels)
    print(table(*read_costs(), load, given.device_images_per_s, given.cores))


if __name__ == "__main__":
    main()
