"""Writes the tables that README and guides take from the code: `python -m benchmarks.documents`.

`tests/test_docs.py` holds them to it.
"""

import re
from functools import partial
from pathlib import Path

import yaml

from app.errors import (
    BodyTimeout,
    BodyTooLarge,
    DeadlineExceeded,
    ImageTooLarge,
    InvalidLabels,
    InvalidRequest,
    InvalidTemplate,
    Overloaded,
    ServiceError,
)
from app.http.connection import MAX_HEAD_BYTES
from app.images import MAX_FRAMES, MAX_SIDE_PIXELS
from app.label_sets.store import MAX_LABEL_SETS
from app.labels import MAX_PROMPT_CHARACTERS, MAX_PROMPTS, MAX_TEMPLATES, MAX_TEXT_CHARACTERS
from app.observability.metrics import MODEL, Metrics
from app.settings import PREFIX, Settings, default_text, variable
from benchmarks import measured, measured_costs
from model.published import VARIANTS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

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
        f"| `{variable(name)}` | {f'`{text}`' if (text := default_text(name)) else ''} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def metrics_table() -> str:
    """Returns every metric of ours, as the registry of a service has it."""
    metrics = Metrics()
    metrics.request("/classify", "POST", 200, 0.1)  # a series, whose labels have names
    metrics.model(dict.fromkeys(MODEL, ""))
    rows = []
    for family in metrics.registry.collect():
        if family.name.startswith("siglip_"):
            name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            labels = dict.fromkeys(label for sample in family.samples for label in sample.labels if label != "le")
            names = ", ".join(f"`{label}`" for label in labels)
            rows.append(f"| `{name}` | {family.type} | {names} | {family.documentation} |")
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *sorted(rows)])


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


def limits_table() -> str:
    """Returns what a request may not exceed."""
    settings = Settings.model_fields
    rows = [
        ("bytes of a body", settings["max_body_bytes"].default, "MAX_BODY_BYTES", BodyTooLarge),
        ("bytes of all bodies together", settings["max_queue_bytes"].default, "MAX_QUEUE_BYTES", Overloaded),
        ("images waiting or being computed", settings["max_queue_items"].default, "MAX_QUEUE_ITEMS", Overloaded),
        ("bytes of a request's head", MAX_HEAD_BYTES, "", InvalidRequest),
        ("seconds for a body", settings["body_timeout_s"].default, "BODY_TIMEOUT_S", BodyTimeout),
        ("seconds for a request", settings["request_timeout_s"].default, "REQUEST_TIMEOUT_S", DeadlineExceeded),
        ("pixels of an image", settings["max_image_pixels"].default, "MAX_IMAGE_PIXELS", ImageTooLarge),
        ("pixels a side", MAX_SIDE_PIXELS, "", ImageTooLarge),
        ("frames of an image", MAX_FRAMES, "", ImageTooLarge),
        ("images of a batch", settings["max_images"].default, "MAX_IMAGES", InvalidRequest),
        ("labels, or texts to embed", settings["max_labels"].default, "MAX_LABELS", InvalidLabels),
        ("characters of a label or a template", MAX_TEXT_CHARACTERS, "", InvalidLabels),
        ("characters of a text or a label's own prompt", MAX_PROMPT_CHARACTERS, "", InvalidLabels),
        ("templates, or prompts of one label", MAX_TEMPLATES, "", InvalidTemplate),
        ("labels times templates", MAX_PROMPTS, "", InvalidTemplate),
        ("label sets", MAX_LABEL_SETS, "", InvalidRequest),
    ]
    lines = [
        f"| {what} | {limit:,.0f} | {f'`{PREFIX}{setting}`' if setting else ''} | {error.status} `{error.code}` |"
        for what, limit, setting, error in rows
    ]
    return "\n".join(["| at most | default | set by | beyond it |", "|---|---|---|---|", *lines])


def alerts_table() -> str:
    """Returns every alert, with what to look at."""
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    rows = [
        f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule['for']} | {rule['annotations']['description']} |"
        for group in groups
        for rule in group["rules"]
    ]
    return "\n".join(["| alert | severity | after | what it means, and what to look at |", "|---|---|---|---|", *rows])


TABLES = {
    "alerts": alerts_table,
    "load": measured.load_table,
    "errors": errors_table,
    "variants": variants_table,
    "settings": settings_table,
    "metrics": metrics_table,
    "limits": limits_table,
    "soak": measured.soak_table,
    "overload": measured.overload_table,
    "decode": measured.decode_table,
    "towers": measured.towers_table,
    "towers_without_vnni": partial(measured.towers_table, "towers_without_vnni"),
    "requests": measured.requests_table,
    "requests_without_vnni": partial(measured.requests_table, "requests_without_vnni"),
    "overhead": measured.overhead_table,
    "overhead_without_vnni": partial(measured.overhead_table, "overhead_without_vnni"),
    "jpeg": measured.jpeg_table,
    "start": measured_costs.start_table,
    "memory": measured_costs.memory_table,
    "label_sets": measured_costs.label_sets_table,
    "label_sets_without_vnni": partial(measured_costs.label_sets_table, "label_sets_without_vnni"),
    "costs": measured_costs.costs_table,
    "levers": measured_costs.levers_table,
    "engine_fidelity": measured_costs.engine_fidelity_table,
    "fidelity": measured.fidelity_table,
}


def filled(text: str) -> str:
    """Returns a document with its tables, each between its marks, as the code has them now."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- /table: \2 -->)",
        lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")
