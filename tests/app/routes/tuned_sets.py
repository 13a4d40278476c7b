"""Requests with label sets that have thresholds, and the numbers that a response must have."""

import base64
import math
from dataclasses import replace
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import INFO, FakeEncoder

RED_PNG = encoded(plain_image(RED))
LABELS = ["cat", "dog", "bird", "fish"]
OTHER_ENCODER = replace(INFO, sha256="1" * 64)
NOT_IN_FORCE = {
    "code": "tuned_not_in_force",
    "message": "What was tuned for the label set (thresholds, calibration, examples) is for another model or other "
    "texts, and is not used.",
}


def ask(client: httpx.Client, image: bytes = RED_PNG, **options: Any) -> dict[str, Any]:
    response = client.post("/classify", json={"image": base64.b64encode(image).decode(), **options})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def put(client: httpx.Client, name: str = "pets", **definition: Any) -> httpx.Response:
    response = client.put(f"/label-sets/{name}", json={"labels": LABELS} | definition)
    assert response.status_code in (200, 201), response.text
    return response


def logit(label: str, image: tuple[int, int, int] = RED) -> float:
    return FakeEncoder().logit(plain_image(image), f"This is a photo of {label}.")


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def metric(client: httpx.Client, name: str) -> dict[str, float]:
    """Returns a counter's values by label set, without those that are 0."""
    families = {family.name: family for family in parse_text(client.get("/metrics").text)}
    return {sample.labels["label_set"]: sample.value for sample in families[name].samples if sample.value}
