"""Writes the generated tables of the README and the guides: `python -m benchmarks.documents`.

`tests/test_docs.py` fails if a table differs from what this script writes.
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
from app.evaluation.request import MAX_SCORES
from app.http.connection import MAX_HEAD_BYTES
from app.images.raster import MAX_FRAMES, MAX_SIDE_PIXELS
from app.label_sets.store import MAX_LABEL_SETS
from app.labels import MAX_PROMPT_CHARACTERS, MAX_PROMPTS, MAX_TEMPLATES, MAX_TEXT_CHARACTERS
from app.observability.metrics import MODEL, Metrics
from app.settings import PREFIX, Settings, default_text, variable
from benchmarks import measured, measured_capacity, measured_costs
from benchmarks.checkpoint_choice import choice_table
from benchmarks.embeddings import embeddings_table
from benchmarks.helm_values import helm_values_table
from benchmarks.measured_few_shot import few_shot_constants, few_shot_fitting, few_shot_table
from benchmarks.measured_full_size import full_size_table
from benchmarks.measured_naflex import naflex_patches_table, naflex_table
from benchmarks.measured_thresholds import thresholds_table
from model.config import NaFlexVisionConfig
from model.patches import MAX_NUM_PATCHES
from model.published import VARIANTS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# When each error occurs; code and status are in the class.
WHEN = {
    "invalid_request": "malformed multipart or JSON, unknown field, wrong type",
    "unauthorized": "the API key is missing or invalid; checked before the body is read",
    "forbidden": "label sets are only changed with one of `SIGLIP_ADMIN_KEYS`; checked before the body is read",
    "not_found": "the path does not exist",
    "label_set_not_found": "no label set with this name is stored",
    "model_not_found": "the `model` of a request to [OpenAI's API](openai.md) is not the loaded one",
    "method_not_allowed": "the path does not support this method, or label sets are read-only, as `SIGLIP_DATA_DIR` is",
    "body_timeout": "the body did not arrive within `SIGLIP_BODY_TIMEOUT_S`",
    "label_sets_read_only": "replicas that do not share label sets cannot change them; `detail` says what to set",
    "other_encoder": "the `model_fingerprint` of the embeddings is not the one in `/info`",
    "precondition_failed": "`If-Match` does not match the stored label set, or `If-None-Match` matches it",
    "body_too_large": "the body has more than `SIGLIP_MAX_BODY_BYTES`, counted as they arrive",
    "image_too_large": "too many pixels or frames, or a side is too long; read from the header before decoding",
    "unsupported_media_type": "the content type, a compressed body, or the image format is not supported",
    "invalid_image": "the image is truncated, damaged, empty or not base64, lacks the frame, or its range is unknown",
    "image_too_expensive": "decoding needs more than `SIGLIP_DECODE_MEMORY_BYTES`, 20 s of CPU time or 40 s",
    "decoder_failed": "the decoder crashes on the image, also at a second attempt in a new process",
    "invalid_labels": "no labels, too many labels, or a label is empty or too long",
    "invalid_template": "no templates, too many templates, or a template is too long or has no `{}`",
    "overloaded": "the queue has too many images or bytes; `Retry-After` says when to try again",
    "internal_error": "a bug or a device failure; the log has the reason under the `request_id`",
    "not_ready": "the model is loading, or the device fails; `detail` names the stage or the reason",
    "draining": "the service is shutting down; only the readiness check returns this, requests are still served",
    "store_unavailable": "the store of label sets does not answer; only changes of label sets return this",
    "deadline_exceeded": "the deadline has passed: `X-Request-Timeout-Ms` or `SIGLIP_REQUEST_TIMEOUT_S`",
}


def errors_table() -> str:
    """Returns every error that a client can get."""
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
    """Returns every `siglip_*` metric, from the registry of a service."""
    metrics = Metrics()
    metrics.request("/classify", "POST", 200, 0.1)  # creates a series, whose labels have names
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
            if isinstance(vision, NaFlexVisionConfig):
                size, patches = "any", f"at most {MAX_NUM_PATCHES}"
            else:
                size, patches = str(vision.image_size[0]), f"{vision.grid[0]} x {vision.grid[1]}"
            rows.append(
                f"| `{variant}` | `{weights}` | {size} | {patches} | "
                f"{text.context_length} | {text.vocab_size:,} | {published.hub_id or 'in this repository'} |"
            )
    head = "| `SIGLIP_MODEL` | `SIGLIP_WEIGHTS` | image size | patches | tokens | vocabulary | hub id |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def limits_table() -> str:
    """Returns the limits of requests."""
    settings = Settings.model_fields
    rows = [
        ("bytes per request body", settings["max_body_bytes"].default, "MAX_BODY_BYTES", BodyTooLarge),
        ("bytes of all request bodies in memory", settings["max_queue_bytes"].default, "MAX_QUEUE_BYTES", Overloaded),
        ("images waiting or being computed", settings["max_queue_items"].default, "MAX_QUEUE_ITEMS", Overloaded),
        ("bytes of the request line and headers", MAX_HEAD_BYTES, "", InvalidRequest),
        ("seconds until the body has arrived", settings["body_timeout_s"].default, "BODY_TIMEOUT_S", BodyTimeout),
        ("seconds per request", settings["request_timeout_s"].default, "REQUEST_TIMEOUT_S", DeadlineExceeded),
        ("pixels per image", settings["max_image_pixels"].default, "MAX_IMAGE_PIXELS", ImageTooLarge),
        ("pixels per side", MAX_SIDE_PIXELS, "", ImageTooLarge),
        ("frames or pages per image", MAX_FRAMES, "", ImageTooLarge),
        ("images per request", settings["max_images"].default, "MAX_IMAGES", InvalidRequest),
        ("labels, or texts to embed, per request", settings["max_labels"].default, "MAX_LABELS", InvalidLabels),
        ("characters per label or template", MAX_TEXT_CHARACTERS, "", InvalidLabels),
        ("characters per text, or per prompt of a label", MAX_PROMPT_CHARACTERS, "", InvalidLabels),
        ("templates per request, or prompts per label", MAX_TEMPLATES, "", InvalidTemplate),
        ("labels times templates", MAX_PROMPTS, "", InvalidTemplate),
        ("images times labels of an evaluation", MAX_SCORES, "", InvalidRequest),
        ("label sets", MAX_LABEL_SETS, "", InvalidRequest),
    ]
    lines = [
        f"| {what} | {limit:,.0f} | {f'`{PREFIX}{setting}`' if setting else ''} | {error.status} `{error.code}` |"
        for what, limit, setting, error in rows
    ]
    return "\n".join(["| limit | default | setting | error |", "|---|---|---|---|", *lines])


def alerts_table() -> str:
    """Returns every alert, and what to check."""
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    rows = [
        f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule['for']} | {rule['annotations']['description']} |"
        for group in groups
        for rule in group["rules"]
    ]
    return "\n".join(["| alert | severity | after | meaning, and what to check |", "|---|---|---|---|", *rows])


TABLES = {
    "alerts": alerts_table,
    "load": measured.load_table,
    "errors": errors_table,
    "variants": variants_table,
    "choice": choice_table,
    "settings": settings_table,
    "metrics": metrics_table,
    "limits": limits_table,
    "soak": measured.soak_table,
    "overload": measured.overload_table,
    "decode": measured.decode_table,
    "towers": measured.towers_table,
    "towers_without_vnni": partial(measured.towers_table, "towers_without_vnni"),
    "naflex": naflex_table,
    "naflex_patches": naflex_patches_table,
    "throughput": measured.throughput_table,
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
    "decode_workers": measured_costs.decode_workers_table,
    "colours": measured_costs.colours_table,
    "levers": measured_costs.levers_table,
    "engine_fidelity": measured_costs.engine_fidelity_table,
    "int8_static": measured_costs.int8_static_table,
    "fidelity": measured.fidelity_table,
    "full_size": full_size_table,
    "embeddings": embeddings_table,
    "few_shot": few_shot_table,
    "few_shot_fitting": few_shot_fitting,
    "few_shot_constants": few_shot_constants,
    "thresholds": thresholds_table,
    "capacity_costs": measured_capacity.costs_table,
    "capacity_checks": measured_capacity.checks_table,
    "capacity_plans": measured_capacity.plans_table,
    "processes": measured_capacity.processes_table,
    "helm_values": helm_values_table,
}


def filled(text: str) -> str:
    """Returns a document with all its tables replaced by current ones."""
    return re.sub(
        r"(<!-- table: (\w+) -->\n).*?(<!-- /table: \2 -->)",
        lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}",
        text,
        flags=re.DOTALL,
    )


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(filled(document.read_text(encoding="utf-8")), encoding="utf-8")
