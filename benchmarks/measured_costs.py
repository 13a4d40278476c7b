"""The tables of what the service costs to start, to keep in memory and to give labels, each from its results."""

from typing import Any

from benchmarks.measured import read


def ratio_cells(row: dict[str, Any]) -> str:
    """Returns the cells of what was measured beside something else."""
    low, high = row["spread"]
    return f"| {row['what']} | {row['target']} | {row['ratio']:.2f} | {low:.2f} to {high:.2f} |"


def start_table() -> str:
    """Returns how long a start takes and what it is spent on, as `benchmarks/start.py` measured it."""
    measured = read("start")
    rows = [
        f"{ratio_cells(row)} {', '.join(f'{name} {seconds:.1f} s' for name, seconds in row['stages_s'].items())} |"
        for row in measured["rows"]
    ]
    head = f"| `benchmarks/start.py`, {measured['machine']} | target | ratio | spread | of one start |"
    return "\n".join([head, "|---" * 5 + "|", *rows])


def memory_table() -> str:
    """Returns what the service holds after more and more requests, as `benchmarks/memory.py` measured it."""
    measured = read("memory")
    rows = [
        f"| {row['checkpoint']}, {row['path']} | {row['requests']:,}, by {row['clients']} | "
        f"{row['resident_bytes'] / 1e6:,.0f} MB | {row['anonymous_bytes'] / 1e6:,.0f} MB | "
        f"{row['file_backed_bytes'] / 1e6:,.0f} MB | {row['above_weights_bytes'] / 1e6:,.0f} MB |"
        for row in measured["rows"]
    ]
    where = f"`benchmarks/memory.py`, {measured['machine']}"
    head = f"| {where} | requests so far | resident | anonymous | file-backed | above the file of weights |"
    return "\n".join([head, "|---" * 6 + "|", *rows])


def label_sets_table(name: str = "label_sets") -> str:
    """Returns a new label set's time over the bare text tower's, as `benchmarks/label_sets.py` measured it."""
    measured = read(name)
    rows = [ratio_cells(row) for row in measured["rows"]]
    head = f"| `benchmarks/label_sets.py`, {measured['machine']} | target | ratio | spread |"
    return "\n".join([head, "|---" * 4 + "|", *rows])


def engine_fidelity_table() -> str:
    """Returns how near the fast paths stay to TensorFlow's float32, as `benchmarks/fidelity.py` measured it."""
    measured = read("fidelity")
    rows = [
        f"| {row['variant']} | `{row['path']}` | {row['images']:,} | {row['image_cosine_mean']:.6f} | "
        f"{row['image_cosine_worst']:.6f} | {row['text_cosine_mean']:.6f} | {row['text_cosine_worst']:.6f} | "
        f"{row['logit_change']:.5f} | {row['same_first_of_10']:.1%} | {row['same_first_of_100']:.1%} | "
        f"{row['same_order_of_10']:.1%} |"
        for row in measured["rows"]
    ]
    head = (
        f"| model (`benchmarks/fidelity.py`, {measured['machine']}) | path | images | image cosine, mean | worst | "
        "text cosine, mean | worst | logit, most | same first of 10 | of 100 | same order of 10 |"
    )
    return "\n".join([head, "|---" * 11 + "|", *rows])


def costs_table() -> str:
    """Returns how the cost grows with the work, as `benchmarks/costs.py` measured it."""
    measured = read("costs")
    first: dict[str, dict[str, Any]] = {}
    rows = []
    for row in measured["rows"]:
        start = first.setdefault(row["what"], row)
        rows.append(
            f"| {row['what']} | {row['amount']:,} | {row['median_ms']:,.1f} ms ({row['spread_ms'][0]:,.1f} to "
            f"{row['spread_ms'][1]:,.1f}) | {row['median_ms'] / start['median_ms']:,.2f} | "
            f"{row['work'] / start['work']:,.2f} |"
        )
    head = f"| `benchmarks/costs.py`, {measured['machine']} | | time | over the first | work over the first |"
    return "\n".join([head, "|---" * 5 + "|", *rows])


def levers_table() -> str:
    """Returns what ways that are not taken would change, as `benchmarks/levers.py` measured it."""
    measured = read("levers")
    ways: dict[tuple[str, str], list[str]] = {}
    whats = list(dict.fromkeys(row["what"] for row in measured["rows"]))
    for row in measured["rows"]:
        if row["way"] != row["over"]:
            low, high = row["spread"]
            cells = ways.setdefault((row["way"], row["over"]), [""] * len(whats))
            cells[whats.index(row["what"])] = f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
    rows = [f"| {way} | {over} | {' | '.join(cells)} |" for (way, over), cells in ways.items()]
    head = f"| `benchmarks/levers.py`, {measured['machine']} | over | {' | '.join(whats)} |"
    return "\n".join([head, "|---" * (len(whats) + 2) + "|", *rows])
