"""The tables of NaFlex's cost, from `results/naflex.json`.

They have the CPU time of all threads, because the machine was shared with others. The file has wall times too.
"""

from benchmarks.measured import read


def naflex_table() -> str:
    """Returns the CPU time of NaFlex and of its fixed-resolution sibling."""
    measured = read("naflex")
    found = {(row["model"], row["engine"], row["shape"], row["batch"]): row["cpu_ms"] for row in measured["rows"]}
    models, engines, shapes, batches = (list(dict.fromkeys(values)) for values in zip(*found, strict=True))
    columns = [(shape, batch) for batch in batches for shape in shapes]
    rows = [
        [f"{engine}: `{model}`", *(f"{found[model, engine, *column]:.0f} ms" for column in columns)]
        for engine in engines
        for model in models
    ]
    heads = [f"{shape}, batch of {batch}" for shape, batch in columns]
    return table([f"CPU time per image (`benchmarks/towers.py --naflex`, {measured['machine']})", *heads], rows)


def naflex_patches_table() -> str:
    """Returns the CPU time and the memory of NaFlex for more and more patches."""
    measured = read("naflex")
    times = {(row["patches"], row["engine"]): row["cpu_ms"] for row in measured["patches"]}
    memory = {(row["patches"], row["engine"]): row["bytes"] for row in measured["memory"]}
    engines = list(dict.fromkeys(engine for _, engine in times))
    rows = [
        [f"{patches:,}", *(f"{times[patches, name]:.0f} ms, {memory[patches, name] / 1e6:.0f} MB" for name in engines)]
        for patches in dict.fromkeys(patches for patches, _ in times)
    ]
    return table([f"most patches (`benchmarks/towers.py --naflex`, {measured['machine']})", *engines], rows)


def table(head: list[str], rows: list[list[str]]) -> str:
    """Returns a table in Markdown."""
    first, *lines = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, "|---" * len(head) + "|", *lines])
