"""The table of published checkpoints compared with transformers at full size, from `results/full_size.json`."""

from benchmarks.measured import read
from model.published import VARIANTS


def full_size_table() -> str:
    """Returns a row for each variant: its weights, and the largest differences of all of them."""
    measured = read("full_size")
    found = {(row["variant"], row["weights"]): row for row in measured["rows"]}
    rows = []
    for variant, named in VARIANTS.items():
        if compared := [found[variant, weights] for weights in named if (variant, weights) in found]:
            names = ", ".join(f"`{row['weights']}`" for row in compared)
            cosine, logit = (max(row[name] for row in compared) for name in ("cosine", "logit"))
            rows.append(f"| `{variant}` | {names} | {cosine:.1e} | {logit:.1e} |")
    where = f"`benchmarks/full_size.py`, transformers {measured['versions']['transformers']}"
    head = f"| `SIGLIP_MODEL` | `SIGLIP_WEIGHTS` | largest difference of a cosine ({where}) | of a logit |"
    return "\n".join([head, "|---|---|---|---|", *rows])
