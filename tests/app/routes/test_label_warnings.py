"""Warnings about labels in the responses of every API. tests/app/inference/test_label_warnings.py has their rules."""

import base64
import json
from collections.abc import Iterator
from io import BytesIO

import httpx
import numpy as np
import pytest

from app.routes.hugging_face import MAX_INDICES
from tests.app.image_files import encoded, plain_image
from tests.fakes import TokenizingEncoder

IMAGE = encoded(plain_image())
BASE64 = base64.b64encode(IMAGE).decode()
LABELS = ["C++", "cat", "C#", "猫", "a view of a mountain in snow with a bird and a dog"]
EXPECTED = {"labels_truncated": [4], "labels_alike": [0, 2], "labels_unreadable": [3]}
OURS = {"image": BASE64, "labels": LABELS}
THEIRS = {"inputs": BASE64, "parameters": {"candidate_labels": LABELS}}
TENSORS = {
    "inputs": [
        {"name": name, "shape": [len(data)], "datatype": "BYTES", "data": data}
        for name, data in (("image", [BASE64]), ("labels", LABELS))
    ]
}
INFER = "/v2/models/FakeSigLIP/infer"
PREDICT = "/predictions"


@pytest.fixture(scope="module")
def service(running) -> Iterator[httpx.Client]:
    with running(TokenizingEncoder(), aip_predict_route=PREDICT) as client:
        yield client


def by_code(warnings: list[dict]) -> dict[str, list[int]]:
    return {warning["code"]: warning.get("labels") for warning in warnings}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/classify", {"json": OURS}),
        ("/classify", {"files": {"image": IMAGE}, "data": {"labels": LABELS}}),
        ("/classify", {"params": {"labels": LABELS}, "content": IMAGE, "headers": {"Content-Type": "image/png"}}),
        ("/invocations", {"json": OURS}),
        ("/classify/batch", {"json": {"images": [BASE64, "x"], "labels": LABELS}}),
    ],
)
def test_responses_have_warnings_that_name_the_labels(service, path, body):
    warnings = service.post(path, **body).json()["warnings"]
    assert by_code(warnings) == EXPECTED
    assert [label for warning in warnings for label in LABELS if label in warning["message"]] == ["C++", "C#", "猫"]


def test_the_response_for_embeddings_has_them(service):
    row = np.ones(32, np.float32) / np.sqrt(32)
    body = {"embeddings": [row.tolist()], "labels": LABELS}
    body["model_fingerprint"] = service.get("/info").json()["model_fingerprint"]
    assert by_code(service.post("/classify/embeddings", json=body).json()["warnings"]) == EXPECTED


@pytest.mark.parametrize("path", ["/", "/hf", "/invocations"])
def test_a_response_of_hugging_face_has_them_in_a_header(service, path):
    assert by_code(json.loads(service.post(path, json=THEIRS).headers["X-SigLIP-Warnings"])) == EXPECTED
    plain = {"inputs": BASE64, "parameters": {"candidate_labels": ["cat"]}}
    assert "X-SigLIP-Warnings" not in service.post(path, json=plain).headers


def test_the_header_stays_short(service):
    labels = ["cat", "dog"] * 5_000
    body = {"inputs": BASE64, "parameters": {"candidate_labels": labels}}
    (warning,) = json.loads(service.post("/hf", json=body).headers["X-SigLIP-Warnings"])
    assert warning == {"code": "labels_alike", "labels": list(range(MAX_INDICES))}


def test_a_response_of_the_open_inference_protocol_has_them_as_a_parameter(service):
    parameters = service.post(INFER, json=TENSORS).json()["parameters"]
    assert by_code(json.loads(parameters["warnings"])) == EXPECTED
    plain = json.loads(json.dumps(TENSORS).replace("C++", "dog").replace("C#", "bird"))
    plain["inputs"][1] |= {"shape": [3], "data": plain["inputs"][1]["data"][:3]}
    assert "parameters" not in service.post(INFER, json=plain).json()


def test_each_prediction_of_vertex_ai_has_its_own(service):
    instances = [{"image": BASE64}, {"image": BASE64, "labels": ["cat", "dog"]}, {"image": "x"}]
    predictions = service.post(PREDICT, json={"instances": instances, "parameters": {"labels": LABELS}}).json()
    first, second, failed = predictions["predictions"]
    assert (by_code(first["warnings"]), second["warnings"]) == (EXPECTED, [])
    assert "warnings" not in failed


@pytest.mark.parametrize(
    ("sent", "labels", "is_split"),
    [
        (["cat, dog"], ["cat", "dog"], True),
        (["cat\r\ndog"], ["cat", "dog"], True),
        (["cat"], ["cat"], False),
        (["a bird, red", "dog"], ["a bird, red", "dog"], False),
        (['["a bird, red"]'], ["a bird, red"], False),
    ],
)
def test_a_lone_text_that_was_split_is_a_warning(service, sent, labels, is_split):
    row = {"model_fingerprint": service.get("/info").json()["model_fingerprint"]}
    array = BytesIO()
    np.save(array, np.ones((1, 32), np.float32) / np.sqrt(32))
    image, npy = {"Content-Type": "image/png"}, {"Content-Type": "application/x-npy"}
    for response in (
        service.post("/classify", files={"image": IMAGE}, data={"labels": sent}),
        service.post("/classify/batch", files={"images": IMAGE}, data={"labels": sent}),
        service.post("/classify", params={"labels": sent}, content=IMAGE, headers=image),
        service.post("/invocations", params={"labels": sent}, content=IMAGE, headers=image),
        service.post("/classify/embeddings", params={"labels": sent} | row, content=array.getvalue(), headers=npy),
    ):
        answer = response.json()
        (result,) = answer.get("results", [answer])
        assert sorted(score["label"] for score in result["scores"]) == sorted(labels)
        assert [warning["code"] for warning in answer["warnings"]] == ["labels_split"] * is_split
        assert all("labels" not in warning for warning in answer["warnings"])
        assert all('["a label, with a comma"]' in warning["message"] for warning in answer["warnings"])


def test_labels_in_json_are_never_split(service):
    answer = service.post("/classify", json={"image": BASE64, "labels": ["cat, dog"]}).json()
    assert [score["label"] for score in answer["scores"]] == ["cat, dog"]
    assert answer["warnings"] == []
