"""The table of `benchmarks/thresholds.py`: the precision that thresholds reach on images they were not chosen on."""

from typing import Any

from benchmarks.measured import read


def thresholds_table() -> str:
    """Returns the reached precision and the coverage for each asked precision."""
    measured = read("thresholds")
    where = f"`benchmarks/thresholds.py`, {measured['machine']}"
    heads = [where, "labels", "a threshold for", "chosen on", "reported on", "asked", "reached", "coverage"]
    rows = [
        [
            row["set"],
            row["labels"],
            row["threshold_for"],
            f"{row['chosen_on']:,} images",
            f"{row['reported_on']:,} images",
            row["asked"],
            reached(row),
            f"{row['coverage']:.3f}",
        ]
        for row in measured["rows"]
    ]
    lines = [f"| {' | '.join(map(str, cells))} |" for cells in [heads, *rows]]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def reached(row: dict[str, Any]) -> str:
    """Returns the precision with its interval, or that of several repetitions with the lowest and the highest."""
    if row["precision"] is None:
        return "accepts nothing"
    low, high = row["range"]
    return f"{row['precision']:.3f} ({low:.2f} to {high:.2f})"
