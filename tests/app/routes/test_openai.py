"""OpenAI's API over HTTP. tests/clients/test_openai.py has real clients, test_openai_errors.py has every error."""

import base64
import logging

import numpy as np
import pytest
from PIL import Image

from tests.app.http.test_telemetry import line_of
from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import EMBED_DIM, TokenizingEncoder, embed

RED_PNG, BLUE_PNG = encoded(plain_image(RED)), encoded(plain_image(BLUE))
RED_TEXT = base64.b64encode(RED_PNG).decode()
RED_URL = f"data:image/png;base64,{RED_TEXT}"
MODEL = "FakeSigLIP/fake_8"


def post(client, given, **options):
    return client.post("/v1/embeddings", json={"input": given, "model": MODEL} | options)


def text_row(encoder, text: str) -> np.ndarray:
    return embed(encoder.prepare_text([text])[0])


def image_row(encoder, colour) -> np.ndarray:
    return embed(encoder.preprocessor(plain_image(colour)))


def test_a_text_is_embedded_without_a_template(client, encoder):
    answer = post(client, "a cat").json()
    (data,) = answer["data"]
    assert list(answer) == ["object", "data", "model", "usage", "model_fingerprint", "warnings"]
    assert (answer["object"], answer["model"], answer["warnings"]) == ("list", MODEL, [])
    assert answer["model_fingerprint"] == client.get("/info").json()["model_fingerprint"]
    assert data.keys() == {"object", "index", "embedding"}
    assert (data["object"], data["index"]) == ("embedding", 0)
    assert data["embedding"] == pytest.approx(text_row(encoder, "a cat").tolist(), abs=1e-6)
    assert np.linalg.norm(data["embedding"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "image",
    [
        RED_URL,
        RED_URL.replace("png", "jpeg"),  # the file decides, not the URL
        {"image": RED_TEXT},
        {"type": "image", "image": RED_URL},
        {"type": "image_url", "image_url": {"url": RED_URL, "detail": "low"}},
        {"image_url": {"url": RED_TEXT}},
        {"image_url": RED_URL},
    ],
)
@pytest.mark.parametrize("listed", [False, True])
def test_an_image_is_embedded_in_every_shape(client, encoder, image, listed):
    (data,) = post(client, [image] if listed else image).json()["data"]
    assert data["embedding"] == pytest.approx(image_row(encoder, RED).tolist(), abs=1e-6)
    assert data["image"] == {"width": 24, "height": 24, "format": "PNG", "notes": []}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (RED_TEXT, RED_TEXT),
        (f" {RED_URL}", f" {RED_URL}"),
        ("data:text/plain;base64,Y2F0", "data:text/plain;base64,Y2F0"),
        ({"text": RED_URL}, RED_URL),
        ({"type": "text", "text": "a cat"}, "a cat"),
    ],
)
def test_only_strings_that_begin_with_data_image_are_images(client, encoder, given, text):
    (data,) = post(client, given).json()["data"]
    assert data["embedding"] == pytest.approx(text_row(encoder, text).tolist(), abs=1e-6)
    assert "image" not in data


def test_texts_and_images_may_be_mixed_and_keep_their_order(client, encoder):
    blue = base64.b64encode(BLUE_PNG).decode()
    data = post(client, ["cat", {"image": blue}, "dog", RED_URL, "cat"]).json()["data"]
    expected = [
        text_row(encoder, "cat"),
        image_row(encoder, BLUE),
        text_row(encoder, "dog"),
        image_row(encoder, RED),
        text_row(encoder, "cat"),
    ]
    assert [row["index"] for row in data] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([row["embedding"] for row in data], expected, atol=1e-6)


def test_base64_is_little_endian_float32_and_exact(client, encoder):
    data = post(client, ["cat", RED_URL], encoding_format="base64").json()["data"]
    rows = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in data]
    np.testing.assert_array_equal(rows, [text_row(encoder, "cat"), image_row(encoder, RED)])


def test_a_frame_may_be_chosen(client, encoder):
    frames = [Image.fromarray(plain_image(colour)) for colour in (RED, BLUE)]
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    url = f"data:image/gif;base64,{base64.b64encode(gif).decode()}"
    (data,) = post(client, url, frame=1).json()["data"]
    assert data["image"]["notes"] == ["frame_1_of_2", "blank_frame"]


@pytest.mark.parametrize("options", [{"user": "me"}, {"encoding_format": None, "dimensions": None}])
def test_options_that_change_nothing_are_accepted(client, options):
    assert len(post(client, "cat", **options).json()["data"][0]["embedding"]) == EMBED_DIM


def test_tokens_are_counted_with_the_end_and_without_padding(running):
    with running(TokenizingEncoder()) as client:
        usage = {given: post(client, given.split("|")).json()["usage"] for given in ("cat", "cat|a cat", "cat " * 30)}
        image, many = post(client, RED_URL).json()["usage"], post(client, ["cat"] * 2001).json()["usage"]
        warned = post(client, [RED_URL, "cat", "cat " * 30, "猫", "https://example.com/cat.png"]).json()["warnings"]
    assert usage["cat"] == {"prompt_tokens": 2, "total_tokens": 2}
    assert usage["cat|a cat"]["total_tokens"] > 4
    assert usage["cat " * 30]["total_tokens"] == 16
    assert many["total_tokens"] == 4002
    assert image == {"prompt_tokens": 0, "total_tokens": 0}
    assert {warning["code"]: warning["inputs"] for warning in warned} == {
        "texts_truncated": [2, 4],
        "texts_unreadable": [3],
        "texts_are_urls": [4],
    }
    assert "{}" not in str(warned)
    assert "reads only 16 tokens" in warned[0]["message"]


def test_a_client_can_compute_the_logits_of_classify(client):
    info = client.get("/info").json()
    rows = [row["embedding"] for row in post(client, [RED_URL, "This is a photo of cat."]).json()["data"]]
    scored = client.post("/classify", json={"image": RED_TEXT, "labels": ["cat"]}).json()["scores"]
    assert info["scale"] * np.dot(*rows) + info["bias"] == pytest.approx(scored[0]["logit"], abs=1e-4)


@pytest.mark.parametrize("name", [MODEL, "FakeSigLIP", "fake_8", None])
def test_the_model_has_three_names_and_may_be_left_out(client, name):
    answer = client.post("/v1/embeddings", json={"input": "cat"} | ({"model": name} if name else {}))
    assert answer.json()["model"] == MODEL


def test_the_loaded_model_is_listed_and_found_by_each_of_its_names(client):
    listed = client.get("/v1/models").json()
    (model,) = listed["data"]
    assert listed["object"] == "list"
    assert model == {"id": MODEL, "object": "model", "created": model["created"], "owned_by": "siglip"}
    assert model["created"] > 1_700_000_000
    for name in (MODEL, "FakeSigLIP%2Ffake_8", "FakeSigLIP", "fake_8"):
        assert client.get(f"/v1/models/{name}").json() == model


def test_counts_are_logged_without_the_content_and_the_route_is_a_metric(client, caplog):
    with caplog.at_level(logging.INFO, "app"):
        post(client, ["a secret", RED_URL])
        line = line_of(caplog, "/v1/embeddings").facts
    assert (line["texts"], line["images"], line["cache_misses"]) == (1, 1, 1)
    assert "secret" not in str(line)
    assert 'method="POST",route="/v1/embeddings",status="200"' in client.get("/metrics").text
