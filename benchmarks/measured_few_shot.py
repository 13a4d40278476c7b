"""The tables of learning from examples: accuracy, the time of fitting, and the choice of the constants."""

import statistics
from typing import Any

from benchmarks.measured import read


def few_shot_table() -> str:
    """Returns the accuracy with examples relative to text alone."""
    measured = read("few_shot")
    rows = [
        f"| {row['set']}, {row['labels']} labels | {row['with_examples']} | {row['num_examples']} | "
        f"{row['text']:.3f} | {row['top_1']:.3f} | {row['difference']:+.3f} +- {row['standard_error']:.3f} | "
        f"{'' if row['target'] is None else format(row['target'], '.2f')} |"
        for row in measured["rows"]
    ]
    where = f"`benchmarks/few_shot.py`, {measured['machine']}"
    head = f"| {where} | labels with examples | examples a label | text alone | top-1 | difference | target |"
    return "\n".join([head, "|---" * 7 + "|", *rows])


def few_shot_fitting() -> str:
    """Returns how long fitting takes, as a sentence."""
    measured = read("few_shot")
    fitting = measured["fitting"]
    return (
        f"Fitting {fitting['what']}, takes {fitting['median_s']:.1f} s (target: at most {fitting['target_s']} s; "
        f"`benchmarks/few_shot.py`, {measured['machine']})."
    )


def few_shot_constants() -> str:
    """Returns how much examples add to top-1 with other constants, from `benchmarks/few_shot_constants.py`."""
    found: dict[tuple[str, float], dict[str, list[dict[str, Any]]]] = {}
    for row in read("few_shot_constants")["rows"]:
        found.setdefault((row["constant"], row["value"]), {"all": [], "half": []})[row["with_examples"]].append(row)

    def cell(rows: list[dict[str, Any]]) -> str:
        worse, cases = sum(len(row["worse"]) for row in rows), sum(len(row["kinds"]) for row in rows)
        return f"{mean(rows):+.4f}, worse in {worse} of {cases}"

    lines = [
        f"| {constant} | {value:g} | {cell(rows['all'])} | {cell(rows['half'])} | "
        f"{mean(rows['all'] + rows['half']):+.4f} |"
        for (constant, value), rows in found.items()
    ]
    where = "`benchmarks/few_shot_constants.py`"
    head = f"| constant ({where}) | value | all labels have examples | half of the labels | mean |"
    return "\n".join([head, "|---" * 5 + "|", *lines])


def mean(rows: list[dict[str, Any]]) -> float:
    """Returns the mean difference."""
    return statistics.mean(row["difference"] for row in rows)
