"""Requests to POST /evaluate that are refused, each over HTTP."""

import threading
from typing import Any

import pytest

from app.evaluation.request import MAX_SCORES
from tests.app.routes.labelled_images import BROKEN, FILES, LABELS, TRUTH, embeddings, images
from tests.fakes import EMBED_DIM, FakeEncoder


@pytest.fixture(scope="module")
def embedded(client) -> dict[str, Any]:
    return embeddings(client)


@pytest.mark.parametrize(
    ("change", "status", "pointer", "detail"),
    [
        ({"truth": TRUTH[1:]}, 400, "/truth", "truth has 35 elements; send one for each of the 36 images"),
        ({"truth": [3, *TRUTH[1:]]}, 400, "/truth/0", "The truth of image 1 must be the index of a label, 0 to 2"),
        ({"truth": [*TRUTH[:-1], [0, -1]]}, 400, "/truth/35", "The truth of image 36 must be"),
        ({"truth": [*TRUTH[:-1], "red"]}, 400, "/truth/35", "or a list of indices"),
        ({"truth": [*TRUTH[:-1], True]}, 400, "/truth/35", "or a list of indices"),
        ({"truth": None}, 400, "/truth", "truth is missing"),
        ({"truth": "[0]"}, 400, "/truth", "truth: input should be a valid list"),
        ({"names": ["a"]}, 400, "/names", "names has 1 elements; send one for each of the 36 images"),
        ({"goal": 1.0}, 400, "/goal", 'goal: input should be "f1", or a precision above 0 and below 1'),
        ({"goal": "0.9"}, 400, "/goal", 'goal: input should be "f1", or a precision above 0 and below 1'),
        ({"calibrate": "all"}, 400, "/calibrate", "calibrate: input should be 'set' or 'label'"),
        ({"top_k": 1}, 400, "", "unknown field"),
        ({"embeddings": None}, 400, "/images", "Send images, or embeddings with their model_fingerprint"),
        ({"images": []}, 400, "/images", "Send images, or embeddings with their model_fingerprint"),
        ({"embeddings": []}, 400, "/embeddings", "There are no embeddings"),
        ({"embeddings": [[0.1] * EMBED_DIM]}, 400, "/embeddings/0", "Embedding 1 is not L2-normalised"),
        ({"model_fingerprint": None}, 400, "/model_fingerprint", "model_fingerprint is missing"),
        ({"model_fingerprint": "0" * 64}, 409, "/model_fingerprint", "Embed the images again"),
        ({"labels": None}, 400, "/labels", "labels is missing"),
        ({"labels": []}, 422, "/labels", "There are 0 labels"),
        ({"labels": ["cat", ""]}, 422, "/labels/1", "Label 2 has 0 characters"),
        ({"labels": None, "label_set": "none"}, 404, None, "There is no label set with this name"),
        ({"templates": ["a photo"]}, 422, "/templates/0", "Template 1 must contain {}"),
    ],
)
def test_a_wrong_field_is_an_error_with_its_own_message(client, embedded, change, status, pointer, detail):
    body = embedded | {"truth": TRUTH, "labels": LABELS} | change
    response = client.post("/evaluate", json={name: value for name, value in body.items() if value is not None})
    assert (response.status_code, response.headers["Content-Type"]) == (status, "application/problem+json")
    assert detail in response.json()["detail"]
    assert [fault["pointer"] for fault in response.json()["errors"]] == ([] if pointer is None else [pointer])


@pytest.mark.parametrize(
    ("form", "detail"),
    [
        ({"truth": "cat"}, "truth is not JSON"),
        ({"truth": "3"}, "truth: input should be a valid list"),
        ({"truth": "[0]", "names": "a.png"}, "names is not JSON"),
        ({"truth": "[0]", "goal": "best"}, 'goal: input should be "f1", or a precision'),
    ],
)
def test_a_wrong_field_of_a_form_is_an_error_with_its_own_message(client, form, detail):
    response = client.post("/evaluate", files={"images": FILES[0]}, data={"labels": LABELS} | form)
    assert response.status_code == 400
    assert detail in response.json()["detail"]


@pytest.mark.parametrize(("number", "detail"), [(0, "There are 0 images"), (65, "There are 65 images; send 1 to 64")])
def test_the_number_of_images_is_limited(client, number, detail):
    body = images(*[FILES[0]] * number) | {"truth": [0] * number, "labels": LABELS}
    response = client.post("/evaluate", json=body)
    assert response.status_code == 400
    assert detail in response.json()["detail"]


def test_images_without_a_usable_one_are_an_error_that_names_each(client):
    response = client.post("/evaluate", json=images(BROKEN, BROKEN) | {"truth": [0, 0], "labels": LABELS})
    assert (response.status_code, response.json()["error_type"]) == (422, "invalid_image")
    assert response.json()["detail"].startswith("No image can be used. The first one: ")
    assert [fault["pointer"] for fault in response.json()["errors"]] == ["/images/0", "/images/1"]


def test_a_failure_of_the_device_is_not_blamed_on_the_images(running):
    def before_batch() -> None:
        raise RuntimeError("the device is gone")

    with running(FakeEncoder(before_batch)) as client:
        response = client.post("/evaluate", json=images(FILES[0]) | {"truth": [0], "labels": LABELS})
    assert response.json()["error_type"] == "internal_error"


def test_too_many_scores_are_refused_before_a_label_is_embedded(client, encoder, embedded):
    labels = [f"label {number}" for number in range(10_000)]
    count = MAX_SCORES // len(labels) + 1
    body = embedded | {"embeddings": embedded["embeddings"][:1] * count, "truth": [0] * count}
    before = len(encoder.text_batches)
    response = client.post("/evaluate", json=body | {"labels": labels})
    assert response.status_code == 400
    assert "an evaluation has at most 5,000,000" in response.json()["detail"]
    assert len(encoder.text_batches) == before
    client.put("/label-sets/many", json={"labels": labels}).raise_for_status()
    assert client.post("/evaluate", json=body | {"label_set": "many"}).status_code == 400


def test_it_needs_a_key_like_every_api(running, embedded):
    body = embedded | {"truth": TRUTH, "labels": LABELS}
    with running(api_keys="secret") as client:
        refused = client.post("/evaluate", json=body)
        accepted = client.post("/evaluate", json=body, headers={"X-API-Key": "secret"})
    assert (refused.status_code, accepted.status_code) == (401, 200)


def test_it_is_refused_while_the_model_loads(running, embedded):
    loaded = threading.Event()

    class Loading(FakeEncoder):
        def warm_up(self) -> None:
            loaded.wait()

    with running(Loading(), wait=False) as client:
        response = client.post("/evaluate", json=embedded | {"truth": TRUTH, "labels": LABELS})
        loaded.set()
    assert (response.status_code, response.json()["error_type"]) == (503, "not_ready")
