"""Examples of labels over HTTP: learning, what is stored, changes of one label, and the preview."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from model import few_shot, zero_shot
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image
from tests.app.routes.tuned_sets import NOT_IN_FORCE, OTHER_ENCODER, ask
from tests.fakes import BIAS, EMBED_DIM, SCALE, FakeEncoder

URL = "/label-sets/pets"
LABELS = ["cat", "dog", "bird"]
FILES = {name: encoded(plain_image(colour)) for name, colour in {"red": RED, "green": GREEN, "blue": BLUE}.items()}
BASE64 = {name: base64.b64encode(content).decode() for name, content in FILES.items()}
DIGEST = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}
OTHER = "1" * 64


def label(name: str, **members: Any) -> dict[str, Any]:
    return {"label": name} | members


TAUGHT = [label("cat", examples=[BASE64["red"]]), label("dog", examples=[BASE64["green"]]), "bird"]
STORED = [
    label("cat", examples=[{"digest": DIGEST["red"]}]),
    label("dog", examples=[{"digest": DIGEST["green"]}]),
    "bird",
]


def row(name: str) -> np.ndarray:
    """Returns the fake encoder's embedding of a file."""
    encoder = FakeEncoder()
    embedding: np.ndarray = encoder.encode_images(encoder.preprocessor(plain_image(COLOURS[name]))[np.newaxis])[0]
    return embedding


def row_base64(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def learnt_logits(examples: list[list[str]], image: str, counterexamples: list[list[str]] | None = None) -> list[float]:
    """Returns the logits that the library gives for the same examples."""
    encoder = FakeEncoder()
    classes = encoder.encode_texts(encoder.prepare_text(zero_shot.prompts(LABELS)))

    def groups(names: list[list[str]]) -> list[np.ndarray]:
        return [np.array([row(name) for name in own]).reshape(-1, EMBED_DIM) for own in names]

    learnt = few_shot.fit(classes, SCALE, BIAS, groups(examples), groups(counterexamples or [[], [], []]))
    logits: list[float] = zero_shot.scores(row(image), learnt.weights, SCALE, learnt.biases).logits.tolist()
    return logits


def logits_of(answer: dict[str, Any]) -> list[float]:
    """Returns the logits in the order of `LABELS`."""
    by_label = {score["label"]: score["logit"] for score in answer["scores"]}
    return [by_label[name] for name in LABELS]


@pytest.fixture
def client(running) -> Iterator[httpx.Client]:
    """A client of a service that has the set `TAUGHT`."""
    with running() as client:
        stored = client.put(URL, json={"labels": TAUGHT})
        assert (stored.status_code, stored.json()["in_force"]) == (201, True)
        yield client


def test_scores_are_those_of_classifiers_that_learnt_from_the_examples(client):
    for image, content in FILES.items():
        answer = ask(client, content, label_set="pets")
        assert logits_of(answer) == pytest.approx(learnt_logits([["red"], ["green"], []], image), abs=1e-5)
        assert answer["warnings"] == []
        assert "accepted" not in answer["scores"][0]


def test_examples_raise_their_label_and_labels_without_examples_rank_with_them(client):
    text = logits_of(ask(client, FILES["red"], labels=LABELS))
    taught = logits_of(ask(client, FILES["red"], label_set="pets"))
    assert taught[0] > text[0]
    assert taught[1] < taught[0]


def test_a_set_without_examples_scores_exactly_as_its_labels(client):
    client.put("/label-sets/plain", json={"labels": LABELS})
    for image in FILES.values():
        assert ask(client, image, label_set="plain")["scores"] == ask(client, image, labels=LABELS)["scores"]


def test_only_digests_come_back_and_a_read_edited_and_stored_set_loses_nothing(client):
    read = client.get(URL)
    assert read.json()["labels"] == STORED
    assert BASE64["red"] not in read.text
    before = ask(client, FILES["red"], label_set="pets")
    again = client.put(URL, json=read.json(), headers={"If-Match": read.headers["ETag"]})
    assert (again.status_code, again.headers["ETag"]) == (200, read.headers["ETag"])
    assert ask(client, FILES["red"], label_set="pets") == before


def test_a_restart_keeps_examples_and_embeds_nothing(running, tmp_path):
    with running(data_dir=tmp_path) as client:
        client.put(URL, json={"labels": TAUGHT})
        before = [ask(client, image, label_set="pets") for image in FILES.values()]
    encoder = FakeEncoder()
    with running(encoder, data_dir=tmp_path) as client:
        assert (encoder.text_batches, encoder.image_batches) == ([], [])
        assert client.get(URL).json()["labels"] == STORED
        assert [ask(client, image, label_set="pets") for image in FILES.values()] == before
    assert FILES["red"] not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_form_has_the_examples_as_files(client):
    files = [
        ("labels", (None, "cat")),
        ("labels", (None, "dog")),
        ("labels", (None, "bird")),
        ("examples.0", ("a.png", FILES["red"])),
        ("examples.1", ("b.png", FILES["green"])),
        ("counterexamples.2", ("c.png", FILES["blue"])),
        ("threshold", (None, "0.25")),
    ]
    stored = client.put("/label-sets/form", files=files)
    assert stored.status_code == 201, stored.text
    read = client.get("/label-sets/form").json()
    assert read["labels"] == [*STORED[:2], label("bird", counterexamples=[{"digest": DIGEST["blue"]}])]
    assert read["threshold"] == 0.25


def test_one_example_is_added_and_removed_without_sending_the_others_again(client):
    etag = client.get(URL).headers["ETag"]
    added = client.post(
        f"{URL}/labels/0/examples", json={"counterexamples": [BASE64["blue"]]}, headers={"If-Match": etag}
    )
    assert (added.status_code, added.json()["warnings"]) == (200, [])
    cat = label("cat", examples=[{"digest": DIGEST["red"]}], counterexamples=[{"digest": DIGEST["blue"]}])
    assert client.get(URL).json()["labels"] == [cat, *STORED[1:]]
    expected = learnt_logits([["red"], ["green"], []], "blue", [["blue"], [], []])
    assert logits_of(ask(client, FILES["blue"], label_set="pets")) == pytest.approx(expected, abs=1e-5)
    by_form = client.post(f"{URL}/labels/2/examples", files={"examples": ("a.png", FILES["blue"])})
    assert by_form.status_code == 200, by_form.text
    removed = client.delete(f"{URL}/labels/0/examples", params={"digest": DIGEST["blue"]})
    assert removed.status_code == 200
    assert client.get(URL).json()["labels"][0] == STORED[0]
    client.delete(f"{URL}/labels/2/examples")
    assert (client.get(URL).json()["labels"], client.get(URL).headers["ETag"]) == (STORED, etag)
    assert client.delete(f"{URL}/labels/0/examples", headers={"If-Match": '"old"'}).status_code == 412


def test_a_threshold_changes_without_the_images(client):
    client.patch(URL, json={"labels": {"0": {"threshold": 0.3}}})
    read = client.get(URL).json()
    assert read["labels"][0] == STORED[0] | {"threshold": 0.3}
    assert read["in_force"] is True
    more = client.post(f"{URL}/labels/0/examples", json={"examples": [BASE64["blue"]]}).json()
    assert [warning["code"] for warning in more["warnings"]] == ["thresholds_before_examples"]


def test_an_image_that_occurs_twice_counts_once(client):
    client.post(f"{URL}/labels/0/examples", json={"examples": [BASE64["red"], BASE64["red"]]})
    assert client.get(URL).json()["labels"] == STORED


MISTAKES: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "not an image": ({"examples": [base64.b64encode(b"text").decode()]}, 415, "unsupported_media_type", "/0"),
    "not base64": ({"examples": ["cat.jpg"]}, 422, "invalid_image", "/0"),
    "an unknown digest": ({"examples": [{"digest": OTHER}]}, 422, "invalid_labels", "/0"),
    "a digest of another label": ({"examples": [{"digest": DIGEST["red"]}, {}]}, 422, "invalid_labels", "/1"),
    "an embedding without its model": (
        {"examples": [{"embedding": row_base64(row("red"))}]},
        422,
        "invalid_labels",
        "/0",
    ),
    "an embedding of another model": (
        {"examples": [{"embedding": row_base64(row("red")), "model_fingerprint": OTHER}]},
        409,
        "other_encoder",
        "/0",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_reported_with_its_place_and_changes_nothing(client, name):
    members, status, code, place = MISTAKES[name]
    before = client.get(URL)
    for response in (
        client.put(URL, json={"labels": [TAUGHT[0], label("dog", **members), "bird"]}),
        client.post(f"{URL}/labels/1/examples", json={"examples": [{"digest": DIGEST["red"]}]} | members),
    ):
        problem = response.json()
        assert (response.status_code, problem["error_type"]) == (status, code), problem
        assert problem["errors"][0]["pointer"].startswith("/labels/1/examples/")
    assert client.get(URL).json() == before.json()
    assert (
        client.put(URL, json={"labels": ["cat", label("dog", **members)]})
        .json()["errors"][0]["pointer"]
        .endswith(place)
    )


@pytest.mark.parametrize(
    ("examples", "fault"),
    [
        (np.zeros(EMBED_DIM - 1), "has 31 numbers; this model's embeddings have 32"),
        (np.zeros(EMBED_DIM), "is not L2-normalised"),
        (np.full(EMBED_DIM, np.nan), "is not L2-normalised"),
    ],
)
def test_an_embedding_must_be_one_of_this_model(client, examples, fault):
    fingerprint = client.get("/info").json()["model_fingerprint"]
    example = {"embedding": row_base64(examples), "model_fingerprint": fingerprint}
    response = client.put(URL, json={"labels": [label("cat", examples=[example])]})
    assert response.status_code == 422
    assert fault in response.json()["detail"]


def test_several_wrong_images_are_all_named(client):
    response = client.put(URL, json={"labels": [label("cat", examples=["?", BASE64["red"], "?"])]})
    pointers = [fault["pointer"] for fault in response.json()["errors"]]
    assert (response.status_code, pointers) == (422, ["/labels/0/examples/0", "/labels/0/examples/2"])


def test_an_image_cannot_show_and_not_show_a_label(client):
    body = {"labels": [label("cat", examples=[BASE64["red"]], counterexamples=[BASE64["red"]])]}
    response = client.put(URL, json=body)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/labels/0/counterexamples/0")


@pytest.mark.parametrize("index", ["3", "-1", "cat", "01"])
def test_a_label_that_does_not_exist_is_404(client, index):
    response = client.post(f"{URL}/labels/{index}/examples", json={"examples": [BASE64["red"]]})
    assert (response.status_code, response.json()["error_type"]) == (404, "not_found")
    assert client.delete(f"{URL}/labels/{index}/examples").status_code == 404


def test_examples_are_limited(running):
    with running(max_examples=2, max_images=2) as client:
        limits = client.get("/info").json()["limits"]
        assert (limits["max_examples"], limits["max_label_examples"]) == (2, 1_000)
        assert client.put(URL, json={"labels": [label("cat", examples=[BASE64["red"]] * 3)]}).status_code == 422
        assert client.put(URL, json={"labels": TAUGHT}).status_code == 201
        response = client.post(f"{URL}/labels/2/examples", json={"examples": [BASE64["blue"]]})
        assert (response.status_code, response.json()["error_type"]) == (422, "invalid_labels")
    with running(max_images=1) as client:
        assert client.put(URL, json={"labels": TAUGHT}).status_code == 400


def test_an_export_is_accepted_by_another_service_which_embeds_no_image(client, running):
    exported = client.get(URL, params={"embeddings": "true"}).json()
    encoder = FakeEncoder()
    with running(encoder) as other:
        assert other.put(URL, json=exported).json()["in_force"] is True
        assert encoder.image_batches == []
        assert other.get(URL).json() == client.get(URL).json()
        for image in FILES.values():
            assert ask(other, image, label_set="pets") == ask(client, image, label_set="pets")


def test_with_another_model_the_texts_alone_are_used(client, running):
    exported = client.get(URL, params={"embeddings": "true"}).json()
    with running(FakeEncoder(info=OTHER_ENCODER)) as other:
        assert other.put(URL, json=exported).json()["in_force"] is False
        answer = ask(other, FILES["red"], label_set="pets")
        assert answer["warnings"] == [NOT_IN_FORCE]
        assert logits_of(answer) == logits_of(ask(other, FILES["red"], labels=LABELS))
        assert {score["accepted"] for score in answer["scores"]} == {None}
        assert other.get(URL).json()["labels"] == STORED
        for body in ({"examples": [BASE64["blue"]]}, {"counterexamples": [BASE64["blue"]]}):
            refused = other.post(f"{URL}/labels/0/examples", json=body)
            assert (refused.status_code, refused.json()["error_type"]) == (409, "other_encoder")
        del exported["tuned_for"]
        assert other.put(URL, json=exported).status_code == 409


def test_an_operators_file_may_have_examples(client, running, tmp_path):
    (tmp_path / "pets.json").write_text(client.get(URL, params={"embeddings": "true"}).text)
    with running(label_sets_dir=tmp_path) as other:
        assert ask(other, FILES["red"], label_set="pets") == ask(client, FILES["red"], label_set="pets")


def test_a_preview_shows_scores_before_and_after_and_stores_nothing(client):
    before = client.get(URL)
    more = [label("cat", examples=[{"digest": DIGEST["red"]}, BASE64["blue"]]), STORED[1], "bird"]
    body = {"definition": {"labels": more, "threshold": 0.5}, "images": [BASE64["blue"], "?"], "top_k": 3}
    answer = client.post(f"{URL}/preview", json=body)
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["results"]
    assert second["error"]["error_type"] == "invalid_image"
    assert logits_of(first["before"]) == logits_of(ask(client, FILES["blue"], label_set="pets"))
    assert logits_of(first["after"]) == pytest.approx(learnt_logits([["red", "blue"], ["green"], []], "blue"), abs=1e-5)
    assert "accepted_labels" not in first["before"]
    assert first["after"]["accepted_labels"] is not None
    assert (client.get(URL).json(), client.get(URL).headers["ETag"]) == (before.json(), before.headers["ETag"])


def test_a_preview_without_a_set_compares_with_the_texts_alone(client):
    body = {"definition": {"labels": TAUGHT}, "images": [BASE64["red"]]}
    (result,) = client.post("/label-sets/-/preview", json=body).json()["results"]
    assert logits_of(result["before"]) == logits_of(ask(client, FILES["red"], labels=LABELS))
    assert logits_of(result["after"]) == logits_of(ask(client, FILES["red"], label_set="pets"))
    assert client.post("/label-sets/none/preview", json=body).status_code == 404
    assert len(client.get("/label-sets").json()["label_sets"]) == 1
