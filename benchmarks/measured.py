"""The tables of benchmark results in the README and the guides, each made from its file in `results/`."""

import json
import statistics
from typing import Any

from benchmarks.machine import RESULTS


def read(name: str) -> Any:
    """Returns the results of a benchmark."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def load_table() -> str:
    """Returns the memory and time to load a checkpoint, measured by `benchmarks/load_memory.py`."""
    measured = read("load_memory")
    rows = [
        f"| `{row['variant']}` `{row['weights']}` | {row['file_bytes'] / 1e9:.2f} GB | "
        f"{row['peak_bytes'] / 1e9:.2f} GB ({row['peak_per_file']:.2f} x the file) | {row['load_s']:.0f} s |"
        for row in measured["rows"]
    ]
    head = f"| checkpoint (`benchmarks/load_memory.py`, {measured['machine']}) | file | peak, without imports | time |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def soak_table() -> str:
    """Returns the service's resources during many requests, measured by `benchmarks/soak.py`."""
    measured = read("soak")
    samples = measured["samples"]
    shown_samples = [samples[0], samples[len(samples) // 2 - 1], samples[-1]]
    rows = [
        f"| {sample['requests']:,} | {sample['resident_bytes'] / 1e6:.1f} MB | {sample['threads']} | "
        f"{sample['open_files']} | {sum(measured['traces'])} |"
        for sample in shown_samples
    ]
    where = f"`benchmarks/soak.py`, {measured['machine']}"
    head = f"| requests so far ({where}) | resident memory | threads | open files | TensorFlow traces |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def towers_table(name: str = "towers") -> str:
    """Returns the image tower's time in each engine, and int8's cosine to float32, from `benchmarks/towers.py`.

    Times are relative to the fastest other engine in float32.
    """
    measured = read(name)
    times: dict[str, dict[int, dict[str, Any]]] = {}
    for row in measured["rows"]:
        times.setdefault(row["engine"], {})[row["batch"]] = row
    batches = sorted(times["PyTorch"])
    ours_or_int8 = ("this service", "int8", "limit")
    others = [found for name, found in times.items() if not any(word in name for word in ours_or_int8)]
    fastest = {batch: min(found[batch]["median_ms"] for found in others) for batch in batches}

    def cell(row: dict[str, Any], batch: int) -> str:
        around = f" ({row['low_ms']:.0f} to {row['high_ms']:.0f} ms)" if "low_ms" in row else ""
        cosine = f", cosine {row['cosine_worst']:.4f}" if "int8" in row["engine"] else ""
        return f"{row['median_ms'] / fastest[batch]:.2f}{around}{cosine}"

    rows = [
        " | ".join([f"| {name}", *(cell(found[batch], batch) for batch in batches)]) + " |"
        for name, found in times.items()
    ]
    heads = [f"time per image, batch of {batch}" for batch in batches]
    where = f"`benchmarks/towers.py`, {measured['machine']}"
    return "\n".join([f"| engine ({where}) | {' | '.join(heads)} |", "|---" * (len(batches) + 1) + "|", *rows])


def throughput_table() -> str:
    """Returns the median requests per second of the service and of the pipeline, from `benchmarks/requests.py`."""
    measured = read("requests")
    engines = list(measured["rows"][0]["service_per_s"])
    rows = []
    for row in measured["rows"]:
        rates = [row["pipeline_per_s"], *row["service_per_s"].values()]
        cells = " | ".join(f"{statistics.median(found):.2g}" for found in rates)
        rows.append(f"| {row['what'].partition(': ')[2]} | {cells} |")
    where = f"`benchmarks/requests.py`, {measured['clients']} clients, {measured['machine']}"
    columns = ["transformers pipeline", *(f"this service, {name}" for name in engines)]
    head = f"| requests per second ({where}) | {' | '.join(columns)} |"
    return "\n".join([head, "|---" * (len(columns) + 1) + "|", *rows])


def requests_table(name: str = "requests") -> str:
    """Returns the requests per second relative to the pipeline, measured by `benchmarks/requests.py`."""
    measured = read(name)
    return by_engine(measured, f"`benchmarks/requests.py`, {measured['clients']} clients")


def overhead_table(name: str = "overhead") -> str:
    """Returns the service's time and rate relative to its bare tower, measured by `benchmarks/overhead.py`."""
    measured = read(name)
    return by_engine(measured, f"`benchmarks/overhead.py`, {measured['rounds']} rounds with many clients")


def by_engine(measured: dict[str, Any], script: str) -> str:
    """Returns a table of ratios with a column for each engine."""
    engines = list(measured["rows"][0]["engines"])

    def cell(found: dict[str, Any]) -> str:
        (low, high), median = found["spread"], f"{found['ratio']:,.2f}"
        return median if low == high else f"{median} ({low:,.2f} to {high:,.2f})"

    rows = [
        " | ".join([f"| {row['what']}", row["target"], *(cell(row["engines"][name]) for name in engines)]) + " |"
        for row in measured["rows"]
    ]
    head = f"| {script}, {measured['machine']} | target | {' | '.join(engines)} |"
    return "\n".join([head, "|---" * (len(engines) + 2) + "|", *rows])


def jpeg_table() -> str:
    """Returns the time to decode and resize JPEGs relative to plain Pillow, measured by `benchmarks/jpeg.py`."""
    measured = read("jpeg")
    rows = []
    for row in measured["timings"]:
        plain = row["quartiles_ms"]["plain"][1]
        cells = [
            f"{median / plain:.2f} ({low:.0f} to {high:.0f} ms)"
            for low, median, high in (row["quartiles_ms"][way] for way in ("full", "reduced", "plain"))
        ]
        width, height = row["size"]
        rows.append(f"| {width} x {height} | {' | '.join(cells)} |")
    where = f"{measured['machine']}, Pillow {measured['versions']['pillow']}"
    head = f"| size of the JPEG (`benchmarks/jpeg.py`, {where}) | default | `--reduce-jpegs` | plain Pillow |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def overload_table() -> str:
    """Returns the response times of an overloaded service, measured by `benchmarks/overload.py`."""
    measured = read("overload")
    rows = [
        f"| {row['answer']} | {row['count']:,} | {row['median_ms']} ms | {row['p99_ms']} ms |"
        for row in measured["rows"]
    ]
    where = f"{measured['clients']} clients, a queue of {measured['items']} images, {measured['machine']}"
    return "\n".join(
        [f"| response (`benchmarks/overload.py`, {where}) | count | median | p99 |", "|---|---|---|---|", *rows]
    )


def decode_table() -> str:
    """Returns the memory for the most expensive image of each format, measured by `benchmarks/decode_memory.py`."""
    measured = read("decode_memory")
    by_format: dict[str, dict[str, float]] = {}
    for row in measured["rows"]:
        name = row["form"].partition(",")[0]
        if name not in by_format or row["peak_bytes"] > by_format[name]["peak_bytes"]:
            by_format[name] = row
    rows = [f"| {row['form']} | {row['peak_bytes'] / 1e6:.0f} MB |" for row in by_format.values()]
    megapixels = f"{measured['pixels'] / 1e6:.0f} megapixels"
    head = f"| most expensive {megapixels} (`benchmarks/decode_memory.py`, {measured['machine']}) | peak memory |"
    return "\n".join([head, "|---|---|", *rows])


def fidelity_table() -> str:
    """Returns how similar the embeddings of reduced and full JPEGs are, measured by `benchmarks/jpeg.py`."""
    rows = [
        f"| {row['variant']} | {row['size'][0]} x {row['size'][1]} | {row['content']} | {row['images']} | "
        f"{row['cosine_mean']:.5f} | {row['cosine_worst']:.5f} | {row['logit_change_max']:.2f} | "
        f"{row['top1_agreement']:.0%} |"
        for row in read("jpeg")["fidelity"]
    ]
    head = "| model | JPEG | content | images | mean cosine | lowest cosine | largest logit change | same best label |"
    return "\n".join([head, "|---" * 8 + "|", *rows])
