import base64
import math

import pytest

from app.errors import ServiceError
from app.http.problems import EXAMPLES
from app.main import create_app
from app.schemas import FILE, PNG, SCORES
from app.settings import Settings

DOCUMENT = create_app(Settings()).openapi()
BODIES = [
    (method, path, media_type, content["schema"])
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
    if media_type in ("application/json", "multipart/form-data")
]


def sent(client, method, path, media_type, example):
    """Sends an example request, as a client that follows the OpenAPI document would."""
    path = path.format(name="pets", index="0", model="FakeSigLIP", version="1")
    if "embeddings" in example:  # of the real model in the example
        rows = client.post("/embed/text", json={"texts": ["cat"] * len(example["embeddings"])}).json()["embeddings"]
        ours = {"embeddings": rows, "model_fingerprint": client.get("/info").json()["model_fingerprint"]}
        example = {name: ours.get(name, value) for name, value in example.items()}
    if path == "/v1/embeddings":
        example = example | {"model": client.get("/v1/models").json()["data"][0]["id"]}
    if media_type == "application/json":
        return client.request(method, path, json=example)
    files = [
        (name, ("a.png", base64.b64decode(PNG)))
        for name, value in example.items()
        for file in as_list(value)
        if file == FILE
    ]
    fields = {name: value for name, value in example.items() if FILE not in as_list(value)}
    return client.request(method, path, files=files, data=fields)


def as_list(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(("method", "path", "media_type", "schema"), BODIES)
def test_every_example_of_a_request_succeeds(client, method, path, media_type, schema):
    for one in schema.get("anyOf", [schema]):
        response = sent(client, method, path, media_type, one["example"])
        assert response.status_code in (200, 201), response.text


def test_every_error_has_an_example():
    assert set(EXAMPLES) == set(ServiceError.__subclasses__())


def test_the_scores_of_the_example_are_consistent():
    total = sum(math.exp(score["logit"]) for score in SCORES)
    for score in SCORES:
        assert score["sigmoid"] == pytest.approx(1 / (1 + math.exp(-score["logit"])), rel=2e-3)
        assert score["softmax"] == pytest.approx(math.exp(score["logit"]) / total, abs=1e-4)
