import base64

import numpy as np
import pytest
from PIL import Image

from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import embed

RED_PNG, BLUE_PNG = encoded(plain_image(RED)), encoded(plain_image(BLUE))


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


BATCHES = {
    "form": {"files": [("images", RED_PNG), ("images", RED_PNG[:60]), ("images", BLUE_PNG)]},
    "JSON": {"json": {"images": [base64.b64encode(file).decode() for file in (RED_PNG, RED_PNG[:60], BLUE_PNG)]}},
}


@pytest.mark.parametrize("body", BATCHES.values(), ids=BATCHES)
def test_many_images_are_embedded_in_order_and_a_bad_one_fails_alone(client, encoder, body):
    answer = client.post("/embed/batch", **body).json()
    assert list(answer) == ["model", "model_fingerprint", "results"]
    assert answer["model"] == {"variant": "FakeSigLIP", "weights": "fake_8"}
    assert answer["model_fingerprint"] == client.get("/info").json()["model_fingerprint"]
    red, bad, blue = answer["results"]
    for result, colour in ((red, RED), (blue, BLUE)):
        assert result["image"] == {"width": 24, "height": 24, "format": "PNG", "notes": []}
        assert result["embedding"] == pytest.approx(embed(encoder.preprocessor(plain_image(colour))).tolist(), abs=1e-6)
    assert list(bad) == ["error"]
    assert (bad["error"]["error_type"], bad["error"]["errors"][0]["pointer"]) == ("invalid_image", "/images/1")


def test_base64_embeddings_are_exact_and_are_those_of_a_single_image(client, encoder):
    form = {"encoding_format": "base64"}
    (result,) = client.post("/embed/batch", files=[("images", RED_PNG)], data=form).json()["results"]
    row = np.frombuffer(base64.b64decode(result["embedding"]), "<f4")
    np.testing.assert_array_equal(row, embed(encoder.preprocessor(plain_image(RED))))


def test_a_frame_of_every_image_is_embedded(client, encoder):
    frames = [Image.fromarray(plain_image(colour)) for colour in (RED, BLUE)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    results = client.post("/embed/batch", files=[("images", gif)], data={"frame": "1"}).json()["results"]
    assert results[0]["image"]["notes"] == ["frame_1_of_2", "blank_frame"]


@pytest.mark.parametrize(
    ("path", "body", "status", "error_type"),
    [
        ("/embed/batch", {"json": {"images": []}}, 400, "invalid_request"),
        ("/embed/batch", {"json": {"images": [""] * 65}}, 400, "invalid_request"),
        ("/embed/batch", {"json": {"images": [""], "labels": ["cat"]}}, 400, "invalid_request"),
        ("/embed/batch", {"json": {"images": [""], "encoding_format": "hex"}}, 400, "invalid_request"),
        ("/embed/batch", {"json": {"images": [""], "frame": -1}}, 400, "invalid_request"),
        ("/embed/batch", {"content": RED_PNG, "headers": {"Content-Type": "image/png"}}, 415, "unsupported_media_type"),
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
