"""The tables of capacity: the cost of a request, predicted and measured limits, plans, and one or two front ends."""

from typing import Any

from benchmarks.capacity import Load, read_costs, table
from benchmarks.measured import read

EXAMPLES = {  # images per second of a device, and cores of the service
    "one GPU with 2,000 images/s, 16 cores": (2_000.0, 16),
    "a CPU with 30 images/s, 2 more cores": (30.0, 2),
}
EXAMPLE_LOAD = Load(640, 480, 100_000, 10)


def costs_table() -> str:
    """Returns the CPU time of a request by its parts."""
    found = read("capacity")
    costs, memory = found["costs_ms"], found["memory_bytes"]
    rows = [
        ("process that serves, alone", *costs["single_ms"], 0.0, memory["single"]),
        ("front end, one of several", *costs["front_end_ms"], 0.0, memory["front_end"]),
        ("decode worker", costs["decode_ms"][0], 0.0, 0.0, costs["decode_ms"][1], memory["decode"]),
        ("device process, without the model", costs["device_ms"], 0.0, 0.0, 0.0, memory["device"]),
        ("supervisor", 0.0, 0.0, 0.0, 0.0, memory["supervisor"]),
    ]
    lines = []
    for name, fixed, megabyte, label, megapixel, size in rows:
        fixed_part = f"| {name} | {fixed:.2f} ms | {megabyte:.2f} ms | {1000 * label:.1f} us "
        lines.append(f"{fixed_part}| {megapixel:.1f} ms | {size / 1e6:.0f} MB |")
    alone, several = costs["idle_ms"]
    idle = (
        f"At the limit, cores are idle for {alone:.1f} ms of each request with one process, and for {several:.1f} ms "
    )
    share = f"with two front ends. A process that serves uses {100 * costs['share_of_core']:.0f} % of a core at most."
    where = f"`benchmarks/capacity_costs.py`, {found['machine']}"
    head = f"| {where} | a request | a megabyte | a label | a megapixel | memory |"
    return "\n".join([head, "|---" * 6 + "|", *lines, "", idle + share])


def checks_table() -> str:
    """Returns the predicted and the measured requests per second."""
    found = read("capacity")
    lines = [
        f"| {each['width']} x {each['height']}, {each['labels']} labels | {each['processes']} | "
        f"{each['predicted_per_s']:.0f} | {each['measured_per_s']:.0f} | "
        f"{100 * (each['predicted_per_s'] / each['measured_per_s'] - 1):+.0f} % |"
        for each in found["checks"]
    ]
    head = (
        f"| requests/s (`benchmarks/capacity_costs.py`, {found['machine']}) | front ends | predicted | measured | off |"
    )
    return "\n".join([head, "|---" * 5 + "|", *lines])


def plans_table() -> str:
    """Returns the plans for two devices."""
    costs, memory = read_costs()
    parts = []
    for name, (per_s, cores) in EXAMPLES.items():
        parts.append(
            f"{name[0].upper()}{name[1:]} in each replica:\n\n{table(costs, memory, EXAMPLE_LOAD, per_s, cores)}"
        )
    return "\n\n".join(parts)


def processes_table() -> str:
    """Returns one process next to two front ends."""
    found = read("processes")

    def row(name: str, of: str, key: str, digits: int) -> str:
        one, two = (cell(found[of][count][key], digits) for count in "12")
        ratio = found[of]["2"][key]["median"] / found[of]["1"][key]["median"]
        return f"| {name} | {one} | {two} | {ratio:.2f} |"

    clients = found["clients"]
    lines = [
        row("CPU time of a request, all processes, ms", "many_clients", "cpu_ms", 2),
        row(f"requests/s, {clients} clients", "many_clients", "requests_per_s", 0),
        row("time of a request, 1 client, ms", "one_client", "latency_ms", 2),
    ]
    if "tower" in found:
        lines.append(row(f"new images/s with the base model, {clients} clients", "tower", "requests_per_s", 2))
    device, whole = (found["many_clients"]["2"][key]["median"] for key in ("cpu_ms_device", "cpu_ms"))
    lines.append(f"| of the CPU time, in the device process | | {100 * device / whole:.0f} % | |")
    head = f"| `benchmarks/processes.py`, {found['machine']} | 1 process | 2 front ends | ratio |"
    return "\n".join([head, "|---" * 4 + "|", *lines])


def cell(value: dict[str, Any], digits: int) -> str:
    """Returns a median with the lowest and the highest value."""
    return f"{value['median']:,.{digits}f} ({value['low']:,.{digits}f} to {value['high']:,.{digits}f})"
