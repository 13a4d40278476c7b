"""The SageMaker API, tested with the headers that SageMaker's front end sends. It was never run on SageMaker."""

import base64
import json
import threading

import pytest

from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder

PNG = encoded(plain_image())
BASE64 = base64.b64encode(PNG).decode()
CLASSIFY = {"image": BASE64, "labels": ["cat", "dog"]}
HUGGING_FACE = {"inputs": BASE64, "parameters": {"candidate_labels": ["cat", "dog"]}}
HEADERS = {
    "User-Agent": "AHC/2.0",
    "Accept": "application/json",
    "X-Amzn-SageMaker-Custom-Attributes": "trace-1",
    "X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793",
}


def invoke(client, body, media_type="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body)
    return client.post("/invocations", content=content, headers=HEADERS | {"Content-Type": media_type})


@pytest.mark.parametrize(("path", "body"), [("/classify", CLASSIFY), ("/", HUGGING_FACE)])
def test_an_invocation_gets_the_response_of_the_matching_api(client, path, body):
    response = invoke(client, body)
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")
    assert response.json() == client.post(path, json=body).json()
    assert response.headers["X-Request-Id"] == HEADERS["X-Amzn-Trace-Id"]


def test_an_invocation_may_be_a_form(client):
    response = client.post("/invocations", files={"image": ("x", PNG)}, data={"labels": ["cat", "dog"]})
    assert response.json() == client.post("/classify", json=CLASSIFY).json()


@pytest.mark.parametrize(
    ("body", "media_type", "status", "pointer"),
    [
        ({"inputs": BASE64, "labels": ["cat"]}, "application/json", 400, ""),
        ({"inputs": BASE64}, "application/json", 400, "/parameters/candidate_labels"),
        ({"image": BASE64}, "application/json", 400, "/labels"),
        (PNG, "image/png", 400, "/labels"),
        (PNG, "application/x-npy", 415, None),
        ([HUGGING_FACE], "application/json", 400, ""),
    ],
)
def test_an_error_names_the_fields_of_the_matching_api(client, body, media_type, status, pointer):
    response = invoke(client, body, media_type)
    assert response.status_code == status
    assert [fault["pointer"] for fault in response.json()["errors"]] == ([] if pointer is None else [pointer])


def test_ping_reports_readiness_and_only_invocations_need_an_api_key(running):
    loading = threading.Event()
    encoder = FakeEncoder(before_warm_up=lambda: (loading.wait(), None)[1])
    with running(encoder, api_keys="k", wait=False) as client:
        assert client.get("/ping").status_code == 503
        assert (
            client.post("/invocations", json=CLASSIFY, headers={"X-API-Key": "k"}).json()["error_type"] == "not_ready"
        )
        loading.set()
        while client.get("/ping").status_code != 200:
            pass
        assert client.post("/invocations", json=CLASSIFY).status_code == 401
        assert client.post("/invocations", json=CLASSIFY, headers={"X-API-Key": "k"}).status_code == 200
