"""Labelled images for POST /evaluate, as files and as embeddings."""

import base64
from typing import Any

import httpx

from tests.app.image_files import encoded, plain_image

LABELS = ["blue", "green", "red"]
PER_LABEL = 12
FILES = [
    encoded(plain_image((10 + 20 * label, 7 * index, 200 - label)))
    for label in range(len(LABELS))
    for index in range(PER_LABEL)
]
TRUTH = [label for label in range(len(LABELS)) for _ in range(PER_LABEL)]
BROKEN = b"no image"


def in_text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def images(*files: bytes) -> dict[str, list[str]]:
    return {"images": [in_text(file) for file in files]}


def embeddings(client: httpx.Client) -> dict[str, Any]:
    """Returns the embeddings of all files, as a request to evaluate has them."""
    answer = client.post("/embed/batch", json=images(*FILES) | {"encoding_format": "base64"}).json()
    rows = [result["embedding"] for result in answer["results"]]
    return {"embeddings": rows, "model_fingerprint": answer["model_fingerprint"]}


def evaluated(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/evaluate", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer
