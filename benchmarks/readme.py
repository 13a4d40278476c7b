"""Writes what the README takes from the code: `python -m benchmarks.readme`. `tests/test_docs.py` holds it to it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from app.config import PREFIX, Settings, shown
from app.errors import ServiceError
from app.metrics import PUSHED, READ
from model.config import VARIANTS

README = Path(__file__).parent.parent / "README.md"
RESULTS = Path(__file__).parent / "results"

# When each error is met, in the words of the contract; the class says the rest.
WHEN = {
    "invalid_request": "malformed multipart or JSON, unknown field, wrong type",
    "unauthorized": "a key is configured, and none or a wrong one was sent; told before the body is read",
    "not_found": "no such path",
    "label_set_not_found": "no label set of this name is stored",
    "method_not_allowed": "the path does not take this method",
    "body_timeout": "the body did not arrive within `SIGLIP_BODY_TIMEOUT_S`",
    "precondition_failed": "`If-Match` does not name the stored set, or `If-None-Match` does",
    "body_too_large": "more bytes than `SIGLIP_MAX_BODY_BYTES`, counted as they arrive",
    "image_too_large": "too many pixels, too long a side or too many frames, by the header, before decoding",
    "unsupported_media_type": "the content type, a compressed body, or an image format outside the list",
    "invalid_image": "truncated, corrupt, empty, or not base64",
    "invalid_labels": "none, too many, or one that is empty or too long",
    "invalid_template": "none, too many, too long, or one without `{}`",
    "overloaded": "the queue is full, by images or by bytes; `Retry-After` says how long",
    "internal_error": "our fault; the log has it by `request_id`",
    "not_ready": "loading, or the device fails; the message says the stage or the reason",
    "draining": "told to stop; of the readiness probe alone, requests are still served",
    "deadline_exceeded": "`X-Request-Timeout-Ms` or `SIGLIP_REQUEST_TIMEOUT_S` has passed",
}


def errors_table() -> str:
    """Returns every error a client can meet."""
    errors = sorted(ServiceError.__subclasses__(), key=lambda error: error.status)
    rows = [f"| {e.status} | `{e.code}` | {WHEN[e.code]} |" for e in errors]
    return "\n".join(["| status | `error_type` | when |", "|---|---|---|", *rows])


def settings_table() -> str:
    """Returns every setting, its default and its meaning."""
    rows = [
        f"| `{PREFIX}{name.upper()}` | {default(field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def default(value: object) -> str:
    """Returns a setting's default as a cell of the table."""
    return "" if shown(value) == "-" else f"`{shown(value)}`"


def metrics_table() -> str:
    """Returns every metric."""
    rows = [
        f"| `{m.name}` | {m.type} | {', '.join(map('`{}`'.format, m.labels))} | {m.meaning} |" for m in PUSHED + READ
    ]
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *rows])


def variants_table() -> str:
    """Returns every published checkpoint by name."""
    rows = []
    for variant, named in VARIANTS.items():
        for weights, published in named.items():
            vision, text = published.config.vision, published.config.text
            rows.append(
                f"| `{variant}` | `{weights}` | {vision.image_size[0]} | {vision.grid[0]} x {vision.grid[1]} | "
                f"{text.context_length} | {text.vocab_size:,} | {published.hub_id or 'inside this repository'} |"
            )
    head = "| `SIGLIP_MODEL` | `SIGLIP_WEIGHTS` | pixels | patches | tokens | vocabulary | home |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def load_table() -> str:
    """Returns what loading costs, as `benchmarks/load_memory.py` measured it."""
    measured = json.loads((RESULTS / "load_memory.json").read_text(encoding="utf-8"))
    rows = [
        f"| `{row['variant']}` `{row['weights']}` | {row['file_bytes'] / 1e9:.2f} GB | "
        f"{row['peak_bytes'] / 1e9:.2f} GB, {row['peak_per_file']:.2f} times the file | {row['load_s']:.0f} s |"
        for row in measured["rows"]
    ]
    head = f"| `benchmarks/load_memory.py` on {measured['machine']} | file | peak above the imports | time |"
    return "\n".join([head, "|---|---|---|---|", *rows])


TABLES = {
    "load": load_table,
    "errors": errors_table,
    "variants": variants_table,
    "settings": settings_table,
    "metrics": metrics_table,
}


def blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yields (mark, language, content) of each fenced block that stands below a mark `<!-- run: x -->`."""
    for found in re.finditer(r"<!-- ((?:run|answer): \w+) -->\n```(\w+)\n(.*?)```", text, re.DOTALL):
        yield found.group(1), found.group(2), found.group(3)


def filled(text: str) -> str:
    """Returns the README with its tables as the code has them now."""
    for name, table in TABLES.items():
        opening, closing = f"<!-- table: {name} -->\n", f"<!-- /table: {name} -->"
        before, rest = text.split(opening)
        text = before + opening + table() + "\n" + closing + rest.split(closing)[1]
    return text


if __name__ == "__main__":
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
