"""Forms with label sets and examples over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.app.image_files import RED, encoded, plain_image

PNG = encoded(plain_image(RED))
FILE = ("a.png", PNG)


@pytest.fixture(scope="module")
def client(running) -> Iterator[httpx.Client]:
    with running() as client:
        yield client


def text(value: str) -> tuple[None, str]:
    return None, value


ACCEPTED: dict[str, tuple[list[tuple[str, Any]], dict[str, Any]]] = {
    "labels as fields": ([("labels", text("cat")), ("labels", text("dog"))], {"labels": ["cat", "dog"]}),
    "labels as JSON": (
        [("labels", text('["cat", {"label": "dog", "prompts": ["a dog"], "threshold": null}]'))],
        {"labels": ["cat", {"label": "dog", "prompts": ["a dog"], "threshold": None}]},
    ),
    "numbers as JSON": (
        [
            ("labels", text("cat")),
            ("threshold", text("null")),
            ("calibration", text('{"slope": 0.5, "intercept": -1}')),
            ("templates", text("a {}")),
        ],
        {"labels": ["cat"], "templates": ["a {}"], "threshold": None},
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_form_contains_what_json_contains(client, name):
    fields, expected = ACCEPTED[name]
    stored = client.put("/label-sets/pets", files=fields)
    assert stored.is_success, stored.text
    read = client.get("/label-sets/pets").json()
    assert {member: read[member] for member in expected} == expected


REFUSED: dict[str, tuple[list[tuple[str, Any]], str]] = {
    "no labels": ([("threshold", text("0.5"))], "labels is missing"),
    "an unknown field": ([("labels", text("cat")), ("lables", text("1"))], "unknown field; did you mean labels?"),
    "a number that is text": ([("labels", text("cat")), ("threshold", text("half"))], "is not JSON"),
    "a repeated number": (
        [("labels", text("cat")), ("threshold", text("0.5")), ("threshold", text("0.6"))],
        "Only labels, templates and files may be repeated.",
    ),
    "a file elsewhere": ([("labels", text("cat")), ("image", FILE)], "A file belongs into a field such as examples.0"),
    "no such label": ([("labels", text("cat")), ("examples.1", FILE)], "There is no label with this index; 1 labels"),
    "text instead of a file": (
        [("labels", text("cat")), ("examples.0", text("cat.jpg"))],
        "examples.0 must be a file. With curl: -F examples.0=@cat.jpg",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_form_is_refused(client, name):
    fields, message = REFUSED[name]
    response = client.put("/label-sets/wrong", files=fields)
    assert response.status_code == 400, response.text
    assert message in response.json()["detail"]


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"json": {}}, 400, "There are no images. Send examples, counterexamples or both."),
        ({"files": [("image", FILE)]}, 400, "A file belongs into a field"),
        ({"files": [("examples", text("cat.jpg"))]}, 400, "examples must be a file. With curl: -F examples=@cat.jpg"),
        ({"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "Send application/json or multipart"),
    ],
)
def test_wrong_examples_are_refused(client, request_, status, message):
    client.put("/label-sets/pets", json={"labels": ["cat"]})
    response = client.post("/label-sets/pets/labels/0/examples", **request_)
    assert response.status_code == status, response.text
    assert message in response.json()["detail"]
