import base64

import numpy as np
import pytest

from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import embed

RED_PNG = encoded(plain_image(RED))


@pytest.mark.parametrize(
    "body",
    [
        {"files": {"image": ("x", RED_PNG)}},
        {"json": {"image": base64.b64encode(RED_PNG).decode()}},
        {"content": RED_PNG, "headers": {"Content-Type": "image/png"}},
    ],
)
def test_an_image_gives_one_normalised_row(client, encoder, body):
    response = client.post("/embed/image", **body)
    assert response.json()["model"] == {"variant": "FakeSigLIP", "weights": "fake_8"}
    (row,) = response.json()["embeddings"]
    assert row == pytest.approx(embed(encoder.preprocessor(plain_image(RED))).tolist(), abs=1e-6)
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


def test_texts_are_embedded_in_order_without_a_template(client, encoder):
    texts = ["a photo of a cat", "{}", "a photo of a cat"]
    rows = client.post("/embed/text", json={"texts": texts}).json()["embeddings"]
    assert rows == pytest.approx(np.array([embed(row) for row in encoder.prepare_text(texts)]), abs=1e-6)


def test_a_client_can_compute_the_same_logits(client):
    info = client.get("/info").json()
    headers = {"Content-Type": "image/png"}
    (image,) = client.post("/embed/image", content=RED_PNG, headers=headers).json()["embeddings"]
    (text,) = client.post("/embed/text", json={"texts": ["This is a photo of cat."]}).json()["embeddings"]
    scored = client.post("/classify", content=RED_PNG, headers=headers, params={"labels": "cat"}).json()["scores"]
    assert info["scale"] * np.dot(image, text) + info["bias"] == pytest.approx(scored[0]["logit"], abs=1e-4)


@pytest.mark.parametrize(
    ("path", "body", "status", "error_type"),
    [
        ("/embed/text", {"json": {"texts": []}}, 422, "invalid_labels"),
        ("/embed/text", {"json": {"texts": ["cat", " "]}}, 422, "invalid_labels"),
        ("/embed/text", {"json": {"texts": ["x" * 1025]}}, 422, "invalid_labels"),
        ("/embed/text", {"json": {"texts": ["cat"] * 10_001}}, 422, "invalid_labels"),
        ("/embed/text", {"json": {"texts": "cat"}}, 400, "invalid_request"),
        ("/embed/text", {"json": {"labels": ["cat"]}}, 400, "invalid_request"),
        ("/embed/text", {"data": {"texts": "cat"}}, 415, "unsupported_media_type"),
        ("/embed/image", {"json": {"image": "", "labels": ["cat"]}}, 400, "invalid_request"),
        ("/embed/image", {"json": {"image": ""}}, 422, "invalid_image"),
        (
            "/embed/image?labels=cat",
            {"content": RED_PNG, "headers": {"Content-Type": "image/png"}},
            400,
            "invalid_request",
        ),
    ],
)
def test_invalid_requests_are_rejected_with_status_and_error_type(client, path, body, status, error_type):
    response = client.post(path, **body)
    assert (response.status_code, response.json()["error_type"]) == (status, error_type)
