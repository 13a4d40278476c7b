"""Malformed tensors: wrong lengths, and bodies that do not match the schema."""

import base64
import json
import struct

import pytest

from tests.app.image_files import encoded, plain_image

PNG = encoded(plain_image())
BASE64 = base64.b64encode(PNG).decode()
URL = "/v2/models/FakeSigLIP/infer"
IMAGE = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [BASE64]}
LABELS = {"name": "labels", "shape": [2], "datatype": "BYTES", "data": ["cat", "dog"]}


def packed(*elements: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def binary(name: str, content: bytes, shape: list[int], size: int | None = None) -> dict:
    """Returns a tensor whose data follows the JSON in the body."""
    size = len(content) if size is None else size
    return {"name": name, "shape": shape, "datatype": "BYTES", "parameters": {"binary_data_size": size}}


def send(client, body, trailing: bytes = b"", header: str | None = None):
    content = json.dumps(body).encode()
    headers = {"Inference-Header-Content-Length": str(len(content)) if header is None else header}
    return client.post(URL, content=content + trailing, headers=headers)


def test_a_request_may_be_json_only_and_its_rows_may_be_lists(client):
    rows = {"name": "labels", "shape": [2, 1], "datatype": "BYTES", "data": [["cat"], ["dog"]]}
    response = client.post(URL, json={"id": "", "inputs": [rows, IMAGE], "outputs": [{"name": "logit"}]})
    assert response.status_code == 200, response.text
    ours = client.post("/classify", json={"image": BASE64, "labels": ["cat", "dog"]}).json()["scores"]
    (output,) = response.json()["outputs"]
    assert sorted(output["data"], reverse=True) == [score["logit"] for score in ours]
    assert response.json()["id"] == ""


@pytest.mark.parametrize(
    ("body", "pointer", "message"),
    [
        ({}, "/inputs", "inputs is missing"),
        ({"inputs": []}, "/inputs", "inputs must have image"),
        ({"inputs": [IMAGE]}, "/inputs", "inputs must have labels"),
        ({"inputs": [IMAGE, IMAGE]}, "/inputs/1", "inputs has image twice"),
        ({"inputs": [IMAGE, LABELS | {"shape": [3]}]}, "/inputs/1/shape", "another number of elements than its shape"),
        ({"inputs": [IMAGE, LABELS | {"shape": [-2]}]}, "/inputs/1/shape/0", "greater than or equal to 0"),
        ({"inputs": [IMAGE, LABELS | {"shape": [10**30]}]}, "/inputs/1/shape/0", "less than 2147483648"),
        ({"inputs": [IMAGE, LABELS | {"shape": [1, 1, 2]}]}, "/inputs/1/shape", "at most 2 items"),
        ({"inputs": [IMAGE, LABELS | {"datatype": "FP32"}]}, "/inputs/1/datatype", "should be 'BYTES'"),
        ({"inputs": [IMAGE, LABELS | {"name": "label"}]}, "/inputs/1/name", "'image', 'labels' or 'templates'"),
        ({"inputs": [IMAGE, LABELS | {"data": ["cat", 5]}]}, "/inputs/1/data/1", "should be a valid string"),
        ({"inputs": [IMAGE, LABELS | {"data": None}]}, "/inputs/1", "must have data, or binary_data_size"),
        ({"inputs": [IMAGE, LABELS | {"parameters": {"binary_data_size": 2}}]}, "/inputs/1", "must have data, or"),
        ({"inputs": [IMAGE, LABELS], "outputs": [{"name": "scores"}]}, "/outputs/0/name", "should be 'logit'"),
        ({"inputs": [IMAGE, LABELS], "parameters": {"priority": 1}}, "/parameters", "unknown field"),
        ({"inputs": [IMAGE, LABELS], "input": 1}, "", "did you mean inputs?"),
        ({"inputs": [IMAGE, LABELS], "id": "x" * 257}, "/id", "at most 256 characters"),
        ([], "", "should be an object"),
    ],
)
def test_a_body_that_does_not_match_the_schema_is_rejected_with_a_pointer(client, body, pointer, message):
    response = send(client, body)
    assert (response.status_code, response.json()["error_type"]) == (400, "invalid_request")
    assert response.json()["errors"][0]["pointer"] == pointer
    assert message in response.json()["error"][:1].lower() + response.json()["error"][1:]


@pytest.mark.parametrize(
    ("tensor", "trailing", "message"),
    [
        (binary("labels", packed(b"cat", b"dog"), [2], size=15), packed(b"cat", b"dog"), "too few bytes after"),
        (binary("labels", packed(b"cat", b"dog"), [2], size=10**18), packed(b"cat", b"dog"), "too few bytes after"),
        (binary("labels", packed(b"cat"), [10_000]), packed(b"cat"), "too few bytes after"),
        (binary("labels", packed(b"cat"), [2**31 - 1, 2**31 - 1]), packed(b"cat"), "at most 10,000 are accepted"),
        (binary("labels", packed(b"cat"), [1]), packed(b"cat") + b"x", "more bytes after the JSON than"),
        (binary("labels", packed(b"cat"), [1], size=6), packed(b"cat"), "element is longer than its tensor"),
        (binary("labels", b"\xff\xff\xff\xffcat", [1]), b"\xff\xff\xff\xffcat", "element is longer than"),
        (binary("labels", packed(b"cat") + b"\x01\0", [1]), packed(b"cat") + b"\x01\0", "element is longer than"),
        (binary("labels", packed(b"cat", b"dog"), [1]), packed(b"cat", b"dog"), "another number of elements"),
        # Only as many elements are read as the shape says, so the fault after them is not found.
        (binary("labels", packed(b"", b"", b"") + b"x", [1]), packed(b"", b"", b"") + b"x", "another number of"),
        (binary("labels", packed(b"\xc3"), [1]), packed(b"\xc3"), "not UTF-8"),
    ],
)
def test_a_wrong_length_is_rejected(client, tensor, trailing, message):
    response = send(client, {"inputs": [IMAGE, tensor]}, trailing)
    assert (response.status_code, response.json()["error_type"]) == (400, "invalid_request")
    assert message in response.json()["error"]
    assert response.json()["errors"][0]["pointer"] in ("", "/inputs/1", "/inputs/1/shape")


def test_a_negative_size_is_rejected(client):
    response = send(client, {"inputs": [IMAGE, binary("labels", b"", [1], size=-1)]})
    assert response.json()["errors"][0]["pointer"] == "/inputs/1/parameters/binary_data_size"


@pytest.mark.parametrize("header", ["-1", "x", "1e3", "99999999", "9" * 5000, "٣", ""])
def test_a_wrong_header_length_is_rejected(client, header):
    response = send(client, {"inputs": [IMAGE, LABELS]}, header=header.encode())
    assert (response.status_code, response.json()["error_type"]) == (400, "invalid_request")
    assert "Inference-Header-Content-Length must be" in response.json()["error"]


def test_a_header_length_that_cuts_the_json_is_rejected(client):
    assert "is not JSON" in send(client, {"inputs": [IMAGE, LABELS]}, header="5").json()["error"]
    assert "is not JSON" in send(client, {"inputs": [IMAGE, LABELS]}, header="0").json()["error"]


@pytest.mark.parametrize(
    ("labels", "templates", "pointer"),
    [(["cat", " "], ["{}"], "/inputs/1/data/1"), ([], ["{}"], "/inputs/1/data"), (["cat"], ["x"], "/inputs/2/data/0")],
)
def test_an_invalid_label_or_template_is_named_by_its_pointer(client, labels, templates, pointer):
    texts = [
        {"name": name, "shape": [len(values)], "datatype": "BYTES", "data": values}
        for name, values in (("labels", labels), ("templates", templates))
    ]
    response = client.post(URL, json={"inputs": [IMAGE, *texts]})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer


def test_a_damaged_image_is_named_by_its_pointer(client):
    bad = packed(PNG, PNG[:50])
    response = send(client, {"inputs": [LABELS, binary("image", bad, [2])]}, bad)
    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/inputs/1/data/1")


def test_too_many_labels_are_rejected(running):
    labels = packed(*[b"x"] * 4)
    with running(max_labels=3) as client:
        response = send(client, {"inputs": [IMAGE, binary("labels", labels, [4])]}, labels)
    assert (response.status_code, response.json()["error"]) == (422, "There are 4 labels; send 1 to 3.")


def test_each_output_can_be_json_or_binary(client):
    outputs = [{"name": "logit", "parameters": {"binary_data": False}}, {"name": "sigmoid"}]
    response = send(client, {"inputs": [IMAGE, LABELS], "outputs": outputs, "parameters": {"binary_data_output": True}})
    length = int(response.headers["Inference-Header-Content-Length"])
    logit, sigmoid = json.loads(response.content[:length])["outputs"]
    assert len(logit["data"]) == 2
    assert sigmoid["parameters"] == {"binary_data_size": 8} == {"binary_data_size": len(response.content) - length}
    assert response.headers["Content-Type"] == "application/octet-stream"
