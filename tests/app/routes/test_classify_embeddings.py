import base64
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest

from app.routes.classify_embeddings import COSINES_AT_ONCE
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image
from tests.fakes import EMBED_DIM, FakeEncoder

COLOURS = (RED, GREEN, BLUE)
FILES = [encoded(plain_image(colour)) for colour in COLOURS]
LABELS = ["cat", "dog", "a [b", "cat"]


@pytest.fixture(scope="module")
def fingerprint(client) -> str:
    return client.get("/info").json()["model_fingerprint"]


@pytest.fixture(scope="module")
def rows(client) -> np.ndarray:
    """The embeddings of three images, [3, E]."""
    form = {"encoding_format": "base64"}
    results = client.post("/embed/batch", files=[("images", file) for file in FILES], data=form).json()["results"]
    return np.stack([np.frombuffer(base64.b64decode(result["embedding"]), "<f4") for result in results])


def texts(rows: np.ndarray) -> list[str]:
    return [base64.b64encode(row.astype("<f4").tobytes()).decode() for row in rows]


def npy(rows: np.ndarray) -> bytes:
    file = BytesIO()
    np.save(file, rows)
    return file.getvalue()


def post_npy(client, content: bytes, media_type: str = "application/x-npy", **options):
    return client.post("/classify/embeddings", content=content, params=options, headers={"Content-Type": media_type})


def random_rows(count: int) -> np.ndarray:
    rows = np.random.default_rng(0).standard_normal((count, EMBED_DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"threshold": 0.01}, {"templates": ["a {}", "{}!"]}])
def test_the_scores_are_exactly_those_of_the_images(client, rows, fingerprint, options):
    wanted = client.post("/classify/batch", files=[("images", f) for f in FILES], data={"labels": LABELS} | options)
    expected = {
        "model": wanted.json()["model"],
        "results": [{"scores": result["scores"]} for result in wanted.json()["results"]],
        "warnings": wanted.json()["warnings"],
    }
    common = {"labels": LABELS, "model_fingerprint": fingerprint} | options
    as_text = client.post("/classify/embeddings", json=common | {"embeddings": texts(rows)})
    assert as_text.headers["Content-Type"] == "application/json"
    assert as_text.json() == expected
    assert client.post("/classify/embeddings", json=common | {"embeddings": rows.tolist()}).json() == expected
    for media_type in ("application/x-npy", "application/octet-stream"):
        assert post_npy(client, npy(rows), media_type, **common).json() == expected


def test_a_label_set_is_used_by_name(client, encoder, rows, fingerprint):
    client.put("/label-sets/pets", json={"labels": ["cat", "dog"], "templates": ["a {}"]})
    answer = post_npy(client, npy(rows), label_set="pets", model_fingerprint=fingerprint).json()
    for colour, result in zip(COLOURS, answer["results"], strict=True):
        found = {score["label"]: score["logit"] for score in result["scores"]}
        for label in ("cat", "dog"):
            assert found[label] == pytest.approx(encoder.logit(plain_image(colour), f"a {label}"), abs=1e-4)


def none_accepted(client) -> float:
    found = re.search(r'siglip_none_accepted_total{label_set="tuned"} (\S+)', client.get("/metrics").text)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize(("threshold", "without"), [(0.0, 0), (1.0, 3)])
def test_a_label_set_with_thresholds_accepts_what_it_accepts_for_images(client, rows, fingerprint, threshold, without):
    client.put("/label-sets/tuned", json={"labels": ["cat", "dog"], "threshold": threshold}).raise_for_status()
    form = {"label_set": "tuned", "top_k": "1"}
    wanted = client.post("/classify/batch", files=[("images", file) for file in FILES], data=form).json()
    before = none_accepted(client)
    answer = post_npy(client, npy(rows), **form, model_fingerprint=fingerprint).json()
    assert none_accepted(client) == before + without
    assert {"scores", "accepted_labels"} == set(answer["results"][0])
    for result in wanted["results"]:
        del result["image"]
    assert answer == wanted


def test_no_image_is_computed(client, encoder, rows, fingerprint):
    before = len(encoder.image_batches)
    post_npy(client, npy(rows), labels=LABELS, model_fingerprint=fingerprint)
    assert len(encoder.image_batches) == before


def test_a_response_of_many_pieces_is_one_json_document_in_order(client, encoder, fingerprint):
    labels = [f"label {number}" for number in range(1_000)]
    rows = random_rows(2 * COSINES_AT_ONCE // len(labels) + 7)  # three pieces, the last one small
    body = {"embeddings": texts(rows), "labels": labels, "templates": ["{}"], "top_k": 1}
    response = client.post("/classify/embeddings", json=body | {"model_fingerprint": fingerprint})
    classes = encoder.encode(encoder.prepare_text(labels), [])
    best = (rows @ classes.T).argmax(axis=1)
    assert [result["scores"][0]["label"] for result in response.json()["results"]] == [labels[i] for i in best]


def test_embeddings_of_another_encoder_are_409_also_if_they_have_another_width(client):
    for body in (
        {"embeddings": texts(random_rows(1)), "model_fingerprint": "0" * 64, "labels": ["cat"]},
        {"embeddings": [[1.0, 0.0]], "model_fingerprint": "", "labels": ["cat"]},
    ):
        response = client.post("/classify/embeddings", json=body)
        assert (response.status_code, response.json()["error_type"]) == (409, "other_encoder")
        assert response.json()["errors"][0]["pointer"] == "/model_fingerprint"
        assert "Embed the images again" in response.json()["detail"]
    response = post_npy(client, npy(random_rows(1)), model_fingerprint="0" * 64, labels="cat")
    assert response.status_code == 409


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        ({"embeddings": []}, 400, "There are no embeddings"),
        ({"embeddings": [[0.1] * EMBED_DIM]}, 400, "Embedding 1 is not L2-normalised"),
        ({"embeddings": ["AAAA"]}, 400, "Embedding 1 is not base64 of float32 numbers"),
        ({"embeddings": "AAAA"}, 400, "embeddings: input should be a valid list"),
        ({"embedding": []}, 400, "unknown field; did you mean embeddings?"),
        ({"frame": 0}, 400, "unknown field"),
        ({"labels": []}, 422, "There are 0 labels"),
        ({"labels": None, "label_set": "none"}, 404, "There is no label set with this name"),
        ({"templates": ["a photo"]}, 422, "Template 1 must contain {}"),
        ({"top_k": 0}, 400, "top_k: input should be greater than or equal to 1"),
        ({"model_fingerprint": 7}, 400, "model_fingerprint: input should be a valid string"),
    ],
)
def test_a_wrong_field_is_an_error_with_its_own_message(client, fingerprint, change, status, detail):
    body = {"embeddings": texts(random_rows(1)), "labels": ["cat"], "model_fingerprint": fingerprint} | change
    response = client.post(
        "/classify/embeddings", json={name: value for name, value in body.items() if value is not None}
    )
    assert response.status_code == status
    assert detail in response.json()["detail"]


@pytest.mark.parametrize(
    ("content", "media_type", "options", "status", "detail"),
    [
        (b"hello", "application/x-npy", {}, 400, "The body is not a .npy file"),
        (npy(random_rows(2))[:-1], "application/x-npy", {}, 400, "255 bytes of values; its shape and dtype need 256"),
        (npy(random_rows(2)), "image/png", {}, 415, "Send application/json, or a .npy file as application/x-npy"),
        (npy(random_rows(2)), "application/x-npy", {"frame": 1}, 400, "unknown field"),
        (npy(random_rows(2)), "application/x-npy", {"top_k": "many"}, 400, "top_k: input should be a valid integer"),
        (b"{}", "application/json", {}, 400, "With JSON the options belong in the body"),
    ],
)
def test_a_wrong_array_is_an_error_with_its_own_message(
    client, fingerprint, content, media_type, options, status, detail
):
    options = {"labels": "cat", "model_fingerprint": fingerprint} | options
    response = post_npy(client, content, media_type, **options)
    assert response.status_code == status
    assert detail in response.json()["detail"]


def test_more_than_a_million_scores_need_a_top_k_before_a_label_is_embedded(client, encoder, fingerprint):
    labels = [f"new label {number}" for number in range(10_000)]
    body = {"embeddings": texts(random_rows(101)), "labels": labels, "model_fingerprint": fingerprint}
    before = len(encoder.text_batches)
    response = client.post("/classify/embeddings", json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "/top_k"
    assert len(encoder.text_batches) == before
    client.put("/label-sets/many", json={"labels": labels})
    del body["labels"]
    assert client.post("/classify/embeddings", json=body | {"label_set": "many"}).status_code == 400
    response = client.post("/classify/embeddings", json=body | {"label_set": "many", "top_k": 1})
    assert [len(result["scores"]) for result in response.json()["results"]] == [1] * 101


def test_a_failure_before_the_first_piece_has_its_own_status(running, rows):
    failures = iter([True])

    def before_batch() -> None:
        if next(failures, False):
            raise RuntimeError("the device is gone")

    with running(FakeEncoder(before_batch)) as client:
        fingerprint = client.get("/info").json()["model_fingerprint"]
        failed = post_npy(client, npy(rows), labels="cat", model_fingerprint=fingerprint)
        succeeded = post_npy(client, npy(rows), labels="cat", model_fingerprint=fingerprint)
    assert (failed.status_code, succeeded.status_code) == (500, 200)


def test_a_client_that_leaves_in_the_middle_does_not_disturb_others(running):
    labels = [f"label {number}" for number in range(1_000)]
    rows = random_rows(1_000)
    with running(max_queue_items=1) as client:
        fingerprint = client.get("/info").json()["model_fingerprint"]
        body = {"embeddings": texts(rows), "labels": labels, "model_fingerprint": fingerprint}
        with client.stream("POST", "/classify/embeddings", json=body) as response:
            next(response.iter_bytes())
        response = post_npy(client, npy(rows[:1]), labels="cat", model_fingerprint=fingerprint)
        assert response.status_code == 200


def test_several_requests_at_once_get_their_own_answers(client, fingerprint):
    rows = random_rows(64)
    started = threading.Barrier(8)

    def ask(number: int) -> list[float]:
        started.wait()
        part = rows[8 * number : 8 * number + 8]
        answer = post_npy(client, npy(part), labels="cat", model_fingerprint=fingerprint).json()
        return [result["scores"][0]["logit"] for result in answer["results"]]

    with ThreadPoolExecutor(8) as threads:
        logits = np.concatenate(list(threads.map(ask, range(8))))
    together = post_npy(client, npy(rows), labels="cat", model_fingerprint=fingerprint).json()
    assert logits.tolist() == [result["scores"][0]["logit"] for result in together["results"]]
