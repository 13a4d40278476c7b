"""More tables of benchmark results: start, memory, label sets, fidelity, and how the cost grows."""

from typing import Any

from benchmarks.measured import read


def ratio_cells(row: dict[str, Any]) -> str:
    """Returns the cells of a ratio."""
    low, high = row["spread"]
    return f"| {row['what']} | {row['target']} | {row['ratio']:.2f} | {low:.2f} to {high:.2f} |"


def start_table() -> str:
    """Returns the startup time and its stages, measured by `benchmarks/start.py`."""
    measured = read("start")
    rows = [
        f"{ratio_cells(row)} {', '.join(f'{name} {seconds:.1f} s' for name, seconds in row['stages_s'].items())} |"
        for row in measured["rows"]
    ]
    head = f"| `benchmarks/start.py`, {measured['machine']} | target | ratio | spread | stages of one start |"
    return "\n".join([head, "|---" * 5 + "|", *rows])


def memory_table() -> str:
    """Returns the service's memory after more and more requests, measured by `benchmarks/memory.py`."""
    measured = read("memory")
    rows = [
        f"| {row['checkpoint']}, {row['path']} | {row['requests']:,} | {row['clients']} | "
        f"{row['resident_bytes'] / 1e6:,.0f} MB | {row['anonymous_bytes'] / 1e6:,.0f} MB | "
        f"{row['file_backed_bytes'] / 1e6:,.0f} MB | {row['above_weights_bytes'] / 1e6:,.0f} MB |"
        for row in measured["rows"]
    ]
    where = f"`benchmarks/memory.py`, {measured['machine']}"
    head = f"| {where} | requests so far | clients | resident | anonymous | file-backed | above the weights file |"
    return "\n".join([head, "|---" * 7 + "|", *rows])


def label_sets_table(name: str = "label_sets") -> str:
    """Returns the time to store a label set relative to the bare text tower, measured by `benchmarks/label_sets.py`."""
    measured = read(name)
    rows = [ratio_cells(row) for row in measured["rows"]]
    head = f"| `benchmarks/label_sets.py`, {measured['machine']} | target | ratio | spread |"
    return "\n".join([head, "|---" * 4 + "|", *rows])


def engine_fidelity_table() -> str:
    """Returns how similar the embeddings of each engine and dtype are to TensorFlow's in float32.

    Measured by `benchmarks/fidelity.py`.
    """
    measured = read("fidelity")
    rows = [
        f"| {row['variant']} | `{row['path']}`{', emulated' if row['emulated'] else ''} | {row['images']:,} | "
        f"{row['image_cosine_mean']:.6f} | {row['image_cosine_worst']:.6f} | "
        f"{row['text_cosine_mean']:.6f} | {row['text_cosine_worst']:.6f} | "
        f"{row['logit_change']:.5f} | {row['same_first_of_10']:.1%} | {row['same_first_of_100']:.1%} | "
        f"{row['same_order_of_10']:.1%} |"
        for row in measured["rows"]
    ]
    where = f"`benchmarks/fidelity.py`, {measured['machine']}"
    head = (
        f"| model ({where}) | engine, dtype | images | mean image cosine | lowest | "
        "mean text cosine | lowest | largest logit change | same best of 10 | same best of 100 | same order of 10 |"
    )
    return "\n".join([head, "|---" * 11 + "|", *rows])


def int8_static_table() -> str:
    """Returns the time and the accuracy of static int8 quantisation, measured by `benchmarks/int8_static.py`."""
    measured = read("int8_static")

    def cells(row: dict[str, Any]) -> str:
        times = [(row[f"batch_{batch}"]["ratio"], row[f"batch_{batch}"]["spread"]) for batch in (1, 8)]
        return " | ".join(f"{ratio:.2f} ({low:.2f} to {high:.2f})" for ratio, (low, high) in times)

    rows = [
        f"| {name} | {cells(row)} | {row['cosine_mean']:.4f} | {row['cosine_worst']:.4f} | "
        f"{row['batch_8_cosine_worst']:.4f} |"
        for name, row in measured["rows"].items()
    ]
    head = (
        f"| image tower (`benchmarks/int8_static.py`, {measured['machine']}, shared with other work) | "
        "time of a base model, batch of 1 | batch of 8 | mean cosine of the embedded model | lowest | "
        "lowest of the base model, on noise |"
    )
    return "\n".join([head, "|---" * 6 + "|", *rows])


def costs_table() -> str:
    """Returns how the cost grows with the work, measured by `benchmarks/costs.py`."""
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
    head = f"| `benchmarks/costs.py`, {measured['machine']} | amount | time | relative time | relative work |"
    return "\n".join([head, "|---" * 5 + "|", *rows])


def levers_table() -> str:
    """Returns the effect of rejected optimisations, measured by `benchmarks/levers.py`."""
    measured = read("levers")
    ways: dict[tuple[str, str], list[str]] = {}
    whats = list(dict.fromkeys(row["what"] for row in measured["rows"]))
    for row in measured["rows"]:
        if row["way"] != row["over"]:
            low, high = row["spread"]
            cells = ways.setdefault((row["way"], row["over"]), [""] * len(whats))
            cells[whats.index(row["what"])] = f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
    rows = [f"| {way} | {over} | {' | '.join(cells)} |" for (way, over), cells in ways.items()]
    head = f"| `benchmarks/levers.py`, {measured['machine']} | compared with | {' | '.join(whats)} |"
    return "\n".join([head, "|---" * (len(whats) + 2) + "|", *rows])


def decode_workers_table() -> str:
    """Returns what decoding in processes costs and protects, measured by `benchmarks/decode_workers.py`."""
    measured = read("decode_workers")
    thread, worker = (measured["prepare_quartiles_ms"][way] for way in ("thread", "worker"))
    before, now = (measured["services"][way] for way in ("threads", "workers"))
    rows = [
        ("decoding and resizing a JPEG of 640x480, median", f"{thread[1]:.1f} ms", f"{worker[1]:.1f} ms"),
        *(
            (what, form.format(before[name] / unit), form.format(now[name] / unit))
            for what, name, form, unit in (
                ("requests per second, 16 clients", "requests_per_s", "{:.0f}", 1),
                ("CPU time of the event loop per request", "event_loop_ms", "{:.1f} ms", 1),
                ("embedding a text, p99, alone", "text_p99_ms", "{:.0f} ms", 1),
                (
                    "embedding a text, p99, next to 12 clients with 12 megapixels",
                    "text_p99_beside_decodes_ms",
                    "{:.0f} ms",
                    1,
                ),
                ("memory of all processes, idle", "idle_bytes", "{:.2f} GB", 1e9),
                ("memory of all processes, 8 images of 50 megapixels at once", "peak_bytes", "{:.2f} GB", 1e9),
            )
        ),
    ]
    head = f"| `benchmarks/decode_workers.py`, {measured['machine']} | in threads, before | in two worker processes |"
    return "\n".join([head, "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])


def colours_table() -> str:
    """Returns the time of converting colours, measured by `benchmarks/colours.py`."""
    measured = read("colours")
    rows = [f"| {row['what']} | {row['quartiles_cpu_ms'][1]:.1f} ms |" for row in measured["rows"]]
    head = f"| CPU time at 640x480 (`benchmarks/colours.py`, {measured['machine']}) | median |"
    return "\n".join([head, "|---|---|", *rows])
