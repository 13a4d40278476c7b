"""Measures what a second front end costs and gains: `SIGLIP_PROCESSES=2` next to one process.

    python -m benchmarks.processes [DIRECTORY]    writes benchmarks/results/processes.json; six minutes on two cores

The services run at the same time and get their requests in turn. With an encoder that answers at once, and
images and labels that are in all caches, the front ends are what is measured. With a checkpoint's
DIRECTORY, new images go through its tower. CPU time is read from /proc, for all processes of a service. The clients are
plain sockets with prepared requests; their CPU time is measured too, because they share the cores with the service.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.clients import new_image, new_labels, prepare_request
from benchmarks.machine import RESULTS, machine, versions
from benchmarks.service import environment, launch, running

COUNTS = (1, 2)  # front ends
ROUNDS, REQUESTS, CLIENTS = 7, 1_500, 16
ALONE = 300  # requests of a single client
TOWER_REQUESTS = 48
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Service(NamedTuple):
    """A running service."""

    process_id: int
    host: str
    port: int


def cpu_s(process_id: int) -> dict[int, float]:
    """Returns the CPU time so far of a process and of those below it, in seconds, by process id."""
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    found = {process_id: (int(fields[11]) + int(fields[12])) / TICKS_PER_S}
    for task in Path(f"/proc/{process_id}/task").iterdir():
        for child in (task / "children").read_text(encoding="utf-8").split():
            found |= cpu_s(int(child))
    return found


def memory_bytes(process_ids: list[int]) -> int:
    """Returns the memory that belongs to the processes; what several share is divided among them."""
    lines = [Path(f"/proc/{each}/smaps_rollup").read_text(encoding="utf-8") for each in process_ids]
    return sum(1024 * int(text.split("\nPss:")[1].split()[0]) for text in lines)


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    """Sends a request and reads its response, which must be a 200."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if not head.startswith(b"http/1.1 200"):
        sys.exit(f"{head!r}")
    await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))


async def send_all(service: Service, requests: list[bytes], clients: int) -> float:
    """Sends the requests from concurrent clients, each with one connection. Returns how long it took, in seconds."""
    waiting = iter(requests)
    connections = [await asyncio.open_connection(service.host, service.port) for _ in range(clients)]

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for request in waiting:
            await exchange(reader, writer, request)

    began_s = time.perf_counter()
    await asyncio.gather(*(work(*connection) for connection in connections))
    elapsed_s = time.perf_counter() - began_s
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    return elapsed_s


def raw(image: bytes, labels: list[str]) -> bytes:
    """Returns the bytes of a request."""
    request = prepare_request("http://service", image, labels)
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(["POST /classify HTTP/1.1", *lines, "", ""]).encode() + request.content


def measure(service: Service, requests: list[bytes], clients: int) -> dict[str, float]:
    """Returns one round: requests per second, and CPU milliseconds per request."""
    before, own_s = cpu_s(service.process_id), time.process_time()
    elapsed_s = asyncio.run(send_all(service, requests, clients))
    own_s = time.process_time() - own_s
    used_s = {each: seconds - before.get(each, 0) for each, seconds in cpu_s(service.process_id).items()}
    per_request_ms = 1_000 / len(requests)
    return {
        "requests_per_s": len(requests) / elapsed_s,
        "latency_ms": elapsed_s * per_request_ms * clients,
        "cpu_ms": sum(used_s.values()) * per_request_ms,
        "clients_cpu_ms": own_s * per_request_ms,
        **{
            f"cpu_ms_{role}": used_s[each] * per_request_ms for each, role in roles(service).items() if role == "device"
        },
    }


def roles(service: Service) -> dict[int, str]:
    """Returns what each process of a service does, by process id."""
    found = {service.process_id: "front_end"}
    for pid in cpu_s(service.process_id):
        if pid != service.process_id:
            found[pid] = "decode"
    spawned = [
        int(child)
        for child in children(service.process_id)
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    if spawned:  # the supervisor starts the device process first
        found |= {service.process_id: "supervisor", spawned[0]: "device"} | dict.fromkeys(spawned[1:], "front_end")
    return found


def children(process_id: int) -> list[str]:
    """Returns the ids of the processes that a process has started."""
    return Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="utf-8").split()


def in_turn(services: dict[int, Service], requests: list[list[bytes]], clients: int) -> dict[int, dict[str, Any]]:
    """Returns the median, the lowest and the highest value of all rounds but the first, which fills the caches."""
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in services}
    for each in requests:
        for count, service in services.items():
            rounds[count].append(measure(service, each, clients))
    return {
        count: {key: summary([one[key] for one in found[1:]]) for key in found[0]} for count, found in rounds.items()
    }


def summary(values: list[float]) -> dict[str, float]:
    """Returns the median, the lowest and the highest of the values."""
    return {
        "median": round(statistics.median(values), 3),
        "low": round(min(values), 3),
        "high": round(max(values), 3),
    }


def service(process_id: int, address: str) -> Service:
    """Returns a running service."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    return Service(process_id, host, int(port))


def launch_instant(stack: ExitStack, processes: int) -> Service:
    """Returns a service with an encoder that answers at once, which runs until the stack is closed."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    settings = {"PROCESSES": str(processes), "DECODE_WORKERS": "2", "DATA_DIR": folder, "DRAIN_S": "0"}
    process, address = launch(["benchmarks.serve_instant"], environment(**settings), " ready: ")
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return service(process.pid, address)


def front_ends() -> dict[str, Any]:
    """Measures the front ends alone."""
    known = [raw(new_image(), labels) for labels in [new_labels(10)] * 8]
    many = (known * REQUESTS)[:REQUESTS]
    with ExitStack() as stack:
        services = {}
        for count in COUNTS:
            services[count] = launch_instant(stack, count)
        for one in services.values():  # each front end has all images and labels in its caches
            for _ in range(40):
                asyncio.run(send_all(one, known, 8))
        found = {"many_clients": in_turn(services, [many] * (ROUNDS + 1), CLIENTS)}
        found["one_client"] = in_turn(services, [many[:ALONE]] * (ROUNDS + 1), 1)
        memory = {count: memory_bytes([*cpu_s(one.process_id)]) for count, one in services.items()}
    return found | {"memory_bytes": memory}


def with_tower(directory: str) -> dict[str, Any]:
    """Measures new images through a checkpoint's image tower."""
    labels = new_labels(10)
    with ExitStack() as stack:
        services = {}
        for count in COUNTS:
            settings = {"PROCESSES": str(count), "DECODE_WORKERS": "2", "WEIGHTS": directory, "ENGINE": "tensorflow"}
            process, address = stack.enter_context(running(**settings))
            services[count] = service(process.pid, address)
        requests = [[raw(new_image(), labels) for _ in range(TOWER_REQUESTS)] for _ in range(ROUNDS + 1)]
        return {"tower": in_turn(services, requests, CLIENTS)}


def main() -> None:
    """Measures, prints and saves."""
    found = front_ends()
    if sys.argv[1:]:
        found |= with_tower(sys.argv[1])
    packages = versions("uvicorn", "uvloop", "msgpack", "prometheus_client")
    result = {"machine": machine(), "versions": packages, "clients": CLIENTS, "rounds": ROUNDS} | found
    text = json.dumps(result, indent=1) + "\n"
    print(text)
    (RESULTS / "processes.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
