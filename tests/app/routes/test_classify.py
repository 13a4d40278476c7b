import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np
import pytest

from app.errors import STORE_ERRORS, MethodNotAllowed, OtherEncoder, PreconditionFailed, ServiceError
from app.schemas import BatchResponse, ClassifyResponse
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image, quarters
from tests.fakes import FakeEncoder

RED_PNG = encoded(plain_image(RED))
LABELS = ["cat", "dog", "bird"]
DEFAULT_TEMPLATE = "This is a photo of {}."


def as_form(image: bytes, **fields) -> dict:
    return {"files": {"image": ("x", image)}, "data": fields}


def as_json(image: bytes, **fields) -> dict:
    return {"json": {"image": base64.b64encode(image).decode(), **fields}}


def as_raw(image: bytes, **fields) -> dict:
    return {"content": image, "params": fields, "headers": {"Content-Type": "image/png"}}


def expected_logits(encoder: FakeEncoder, rgb: np.ndarray, labels: list[str]) -> dict[str, float]:
    return {label: encoder.logit(rgb, DEFAULT_TEMPLATE.replace("{}", label)) for label in labels}


def logits(response: httpx.Response) -> dict[str, float]:
    assert response.status_code == 200, response.text
    return {score["label"]: score["logit"] for score in response.json()["scores"]}


@pytest.mark.parametrize("body", [as_form, as_json, as_raw])
def test_the_three_bodies_give_the_same_result(client, encoder, body):
    response = client.post("/classify", **body(RED_PNG, labels=LABELS))
    assert logits(response) == pytest.approx(expected_logits(encoder, plain_image(RED), LABELS), abs=1e-5)
    assert response.json()["model"] == {"variant": "FakeSigLIP", "weights": "fake_8"}
    assert response.json()["image"] == {"width": 24, "height": 24, "format": "PNG", "notes": []}
    ClassifyResponse.model_validate_json(response.content, strict=True)


@pytest.mark.parametrize("body", [as_form, as_json, as_raw])
def test_the_options_have_the_same_effect_in_the_three_bodies(client, body):
    options = {"labels": LABELS, "templates": ["a {}", "the {} {}"], "top_k": 2, "threshold": 1e-9}
    scores = client.post("/classify", **body(RED_PNG, **options)).json()["scores"]
    assert scores == client.post("/classify", **as_json(RED_PNG, **options)).json()["scores"]
    assert len(scores) == 2


def test_the_media_type_may_have_parameters_and_capitals(client):
    body = json.dumps(as_json(RED_PNG, labels=LABELS)["json"])
    response = client.post("/classify", content=body, headers={"Content-Type": "Application/JSON; Charset=UTF-8"})
    assert response.status_code == 200


def test_one_form_field_may_hold_all_labels_as_json(client):
    response = client.post("/classify", **as_form(RED_PNG, labels=json.dumps(LABELS)))
    assert logits(response).keys() == set(LABELS)


def test_scores_are_sorted_and_sigmoid_and_softmax_follow_from_the_logit(client):
    scores = client.post("/classify", **as_json(RED_PNG, labels=[f"label {i}" for i in range(50)])).json()["scores"]
    logit, sigmoid, softmax = (np.array([score[name] for score in scores]) for name in ("logit", "sigmoid", "softmax"))
    assert (np.diff(logit) <= 0).all()
    assert sigmoid == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-4)
    assert softmax == pytest.approx(np.exp(logit) / np.exp(logit).sum(), rel=1e-4)


def test_duplicate_labels_are_kept_in_the_order_of_the_request(client):
    labels = ["cat", "CAT", "cat"]  # the model sees equal texts, so the scores are equal
    scores = client.post("/classify", **as_json(RED_PNG, labels=labels)).json()["scores"]
    assert [score["label"] for score in scores] == labels


def test_labels_are_trimmed(client):
    assert logits(client.post("/classify", **as_json(RED_PNG, labels=["  cat\n"]))).keys() == {"cat"}


@pytest.mark.parametrize("label", ["x" * 256, "ネコ", "🐈", "قط", "a\nb", "{}", "{0.__class__}", "[", "é", "e\u0301"])
def test_a_label_may_be_any_text(client, encoder, label):
    response = client.post("/classify", **as_json(RED_PNG, labels=[label]))
    assert logits(response) == pytest.approx(expected_logits(encoder, plain_image(RED), [label]), abs=1e-5)


def test_templates_are_averaged_as_normalised_embeddings(client, encoder):
    scores = client.post("/classify", **as_json(RED_PNG, labels=["cat"], templates=["a {}", "no {}"])).json()["scores"]
    cosines = [(encoder.logit(plain_image(RED), text) - encoder.bias) / encoder.scale for text in ("a cat", "no cat")]
    # The mean of the two embeddings is shorter than 1 and is normalised again.
    assert scores[0]["logit"] != pytest.approx(encoder.scale * np.mean(cosines) + encoder.bias)
    assert np.sign(scores[0]["logit"] - encoder.bias) == np.sign(np.mean(cosines))


def test_top_k_and_threshold_limit_the_response_but_not_the_softmax(client):
    everything = client.post("/classify", **as_json(RED_PNG, labels=LABELS)).json()["scores"]
    best = client.post("/classify", **as_json(RED_PNG, labels=LABELS, top_k=1)).json()["scores"]
    assert best == everything[:1]
    threshold = everything[1]["sigmoid"]
    above = client.post("/classify", **as_json(RED_PNG, labels=LABELS, threshold=threshold * 0.999)).json()["scores"]
    assert above == everything[:2]
    assert client.post("/classify", **as_json(RED_PNG, labels=LABELS, threshold=1)).json()["scores"] == []


def test_the_notes_say_what_was_done_to_the_pixels(client):
    turned = encoded(quarters(), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
    image = client.post("/classify", **as_json(turned, labels=LABELS)).json()["image"]
    assert image == {"width": 16, "height": 32, "format": "PNG", "notes": ["exif_orientation_applied"]}


def test_server_timing_has_every_stage(client):
    header = client.post("/classify", **as_json(RED_PNG, labels=LABELS)).headers["Server-Timing"]
    assert {part.partition(";dur=")[0] for part in header.split(", ")} == {"decode", "queue", "image", "text", "total"}


def test_ten_thousand_labels_are_answered(client, encoder):
    labels = [f"label {i}" for i in range(10_000)]
    for body in (as_form, as_json):
        response = client.post("/classify", **body(RED_PNG, labels=labels))
        assert len(response.json()["scores"]) == 10_000
        sample = response.json()["scores"][5000]
        expected = expected_logits(encoder, plain_image(RED), [sample["label"]])
        assert sample["logit"] == pytest.approx(expected[sample["label"]], abs=1e-5)


def test_concurrent_clients_each_get_their_own_response(running):
    encoder = FakeEncoder()
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (200, 3)).tolist()

    with running(encoder) as client:

        def ask(number: int) -> None:
            rgb = plain_image(tuple(colours[number]))
            labels = ["shared", f"own {number}", f"group {number % 7}"]
            response = client.post("/classify", **(as_json, as_form)[number % 2](encoded(rgb), labels=labels))
            assert logits(response) == pytest.approx(expected_logits(encoder, rgb, labels), abs=1e-5)

        with ThreadPoolExecutor(32) as clients:
            list(clients.map(ask, range(200)))
    assert sum(encoder.text_batches) == 1 + 200 + 7  # each text once
    assert sum(encoder.image_batches) == 200


def test_bad_images_do_not_affect_good_ones_at_the_same_time(client, encoder):
    good = {colour: encoded(plain_image(colour), "BMP") for colour in (RED, GREEN, BLUE)}

    def ask(number: int) -> None:
        colour = (RED, GREEN, BLUE)[number % 3]
        if number % 2:
            assert client.post("/classify", **as_json(good[colour][:60], labels=LABELS)).status_code == 422
        else:
            response = client.post("/classify", **as_json(good[colour], labels=LABELS))
            assert logits(response) == pytest.approx(expected_logits(encoder, plain_image(colour), LABELS), abs=1e-5)

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(ask, range(200)))


def test_openapi_describes_the_three_bodies_and_every_failure(client):
    path = client.get("/openapi.json").json()["paths"]["/classify"]["post"]
    assert set(path["requestBody"]["content"]) == {"multipart/form-data", "application/json", "image/*"}
    assert {int(status) for status in path["responses"]} == {200} | {
        error.status
        for error in ServiceError.__subclasses__()
        if error not in (MethodNotAllowed, OtherEncoder, PreconditionFailed, *STORE_ERRORS)
    }
    assert client.get("/docs").status_code == 200


def batch_form(images: list[bytes], **fields) -> dict:
    return {"files": [("images", ("x", image)) for image in images], "data": fields}


def batch_json(images: list[bytes], **fields) -> dict:
    return {"json": {"images": [base64.b64encode(image).decode() for image in images], **fields}}


@pytest.mark.parametrize("body", [batch_form, batch_json])
def test_a_batch_has_a_result_per_image_in_order_and_only_bad_ones_fail(client, encoder, body):
    images = [RED_PNG, b"no image", encoded(plain_image(BLUE)), RED_PNG[:60]]
    response = client.post("/classify/batch", **body(images, labels=LABELS))
    red, unknown, blue, truncated = response.json()["results"]
    assert response.status_code == 200
    assert response.json()["model"] == {"variant": "FakeSigLIP", "weights": "fake_8"}
    for result, colour in ((red, RED), (blue, BLUE)):
        found = {score["label"]: score["logit"] for score in result["scores"]}
        assert found == pytest.approx(expected_logits(encoder, plain_image(colour), LABELS), abs=1e-5)
        assert result["image"]["format"] == "PNG"
    assert (unknown["error"]["status"], unknown["error"]["error_type"]) == (415, "unsupported_media_type")
    assert (truncated["error"]["status"], truncated["error"]["error_type"]) == (422, "invalid_image")
    assert truncated["error"]["errors"][0]["pointer"] == "/images/3"
    assert truncated["error"]["request_id"] == response.headers["X-Request-Id"]
    BatchResponse.model_validate_json(response.content, strict=True)


def test_a_batch_gives_an_image_the_same_result_as_a_single_request(client):
    options = {"labels": LABELS, "templates": ["a {}", "the {}"], "top_k": 2, "threshold": 1e-9}
    (batched,) = client.post("/classify/batch", **batch_json([RED_PNG], **options)).json()["results"]
    single = client.post("/classify", **as_json(RED_PNG, **options)).json()
    assert batched == {"image": single["image"], "scores": single["scores"]}


def test_only_the_image_of_a_batch_that_is_not_base64_fails(client):
    body = batch_json([RED_PNG], labels=LABELS)
    body["json"]["images"].append("https://example.org/cat.png")
    good, bad = client.post("/classify/batch", **body).json()["results"]
    assert "scores" in good
    assert "URLs and paths are not followed" in bad["error"]["detail"]


@pytest.mark.parametrize(
    ("body", "count", "status"),
    [
        (batch_json, 0, 400),
        *[(body, *row) for body in (batch_form, batch_json) for row in ((1, 200), (3, 200), (4, 400))],
    ],
)
def test_a_batch_has_one_to_max_images(running, body, count, status):
    with running(max_images=3) as client:
        response = client.post("/classify/batch", **body([RED_PNG] * count, labels=LABELS))
    assert response.status_code == status
    if status != 200:
        assert response.json()["error_type"] == "invalid_request"


def test_a_batch_is_a_form_or_json_and_not_an_image(client):
    response = client.post("/classify/batch", **as_raw(RED_PNG, labels=LABELS))
    assert (response.status_code, response.json()["error_type"]) == (415, "unsupported_media_type")
    expected = "This Content-Type is not accepted. Send multipart/form-data or application/json."
    assert response.json()["detail"] == expected


def test_a_batch_may_have_more_images_than_the_queue_holds(running):
    with running(max_queue_items=2, max_batch=2) as client:
        response = client.post("/classify/batch", **batch_json([RED_PNG] * 8, labels=LABELS))
    assert response.status_code == 200
    assert all("scores" in result for result in response.json()["results"])


@dataclass
class SmallEncoder(FakeEncoder):
    """Runs out of memory for more than two rows, and for any batch with a blue image."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        if len(images) > 2 or (images == BLUE).all(axis=-1).any():
            raise MemoryError
        return super().encode_images(images)


def test_a_batch_out_of_memory_is_split_and_only_a_failing_image_is_an_error(running):
    encoder, colours = SmallEncoder(), [RED, GREEN, BLUE, (1, 2, 3), (4, 5, 6), (7, 8, 9)]
    with running(encoder) as client:
        images = [encoded(plain_image(colour)) for colour in colours]
        results = client.post("/classify/batch", **batch_json(images, labels=["cat"])).json()["results"]
        counted = client.get("/metrics").text
        assert client.get("/health/live").status_code == 200
    for colour, result in zip(colours, results, strict=True):
        if colour == BLUE:
            assert (result["error"]["status"], result["error"]["error_type"]) == (500, "internal_error")
        else:
            expected = expected_logits(encoder, plain_image(colour), ["cat"])
            assert result["scores"][0]["logit"] == pytest.approx(expected["cat"], abs=1e-5)
    assert 'siglip_forward_failures_total{tower="image"} 0.0' not in counted
