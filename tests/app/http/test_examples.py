import base64
import math

import pytest

from app.errors import ServiceError
from app.http.examples import ERRORS, EXAMPLES, SCORES
from app.main import create_app
from app.settings import Settings

DOCUMENT = create_app(Settings()).openapi()
REQUESTS = {operation: example.request for operation, example in EXAMPLES.items() if example.request is not None}


def sent(client, method, path, media_type, example):
    """Sends an example as a client would that has read the contract."""
    path = path.format(name="pets", model="FakeSigLIP", version="1")
    if media_type == "application/json":
        return client.request(method, path, json=example)
    files = [(name, png) for name in ("image", "images") for png in as_list(example.get(name, []))]
    fields = {name: value for name, value in example.items() if name not in ("image", "images")}
    content = [(name, ("a.png", base64.b64decode(png))) for name, png in files]
    return client.request(method, path, files=content, data=fields)


def as_list(value):
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize(
    ("operation", "media_type"),
    [
        (operation, media_type)
        for operation in REQUESTS
        for media_type in DOCUMENT["paths"][operation[1]][operation[0]]["requestBody"]["content"]
        if media_type in ("application/json", "multipart/form-data")
    ],
)
def test_every_request_that_is_shown_succeeds(client, operation, media_type):
    answer = sent(client, *operation, media_type, REQUESTS[operation])
    assert answer.status_code in (200, 201), answer.text


def test_every_error_is_shown():
    assert set(ERRORS) == set(ServiceError.__subclasses__())


def test_the_scores_that_are_shown_agree_with_each_other():
    total = sum(math.exp(score["logit"]) for score in SCORES)
    for score in SCORES:
        assert score["sigmoid"] == pytest.approx(1 / (1 + math.exp(-score["logit"])), rel=2e-3)
        assert score["softmax"] == pytest.approx(math.exp(score["logit"]) / total, abs=1e-4)
