"""The Vertex AI API, tested with requests in Vertex AI's format. It was never run on Vertex AI."""

import base64
import socket

import pytest

from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import FakeEncoder

FILES = {colour: base64.b64encode(encoded(plain_image(colour))).decode() for colour in (RED, BLUE)}
PREDICT = "/v1/endpoints/7/deployedModels/42:predict"
HEALTH = "/v1/endpoints/7/deployedModels/42"
ROUTES = {"aip_predict_route": PREDICT, "aip_health_route": HEALTH}


@pytest.fixture(scope="module")
def vertex(running):
    """A service as Vertex AI starts it."""
    with running(FakeEncoder(), max_labels=50, max_images=4, **ROUTES) as client:
        yield client


def expected(colour, labels, template="This is a photo of {}."):
    return {label: FakeEncoder().logit(plain_image(colour), template.replace("{}", label)) for label in labels}


def logits(prediction):
    return {score["label"]: score["logit"] for score in prediction["scores"]}


def test_each_instance_is_scored_with_its_own_labels_or_those_of_the_parameters(vertex):
    instances = [
        {"image": {"b64": FILES[RED]}},
        {"image": FILES[BLUE], "labels": ["sea", "sky"]},
        {"image": FILES[BLUE]},
    ]
    parameters = {"labels": ["cat", "dog"], "templates": ["a {}"], "top_k": 2}
    response = vertex.post(PREDICT, json={"instances": instances, "parameters": parameters})
    assert response.status_code == 200, response.text
    first, second, third = response.json()["predictions"]
    assert logits(first) == pytest.approx(expected(RED, ["cat", "dog"], "a {}"), abs=1e-5)
    assert logits(second) == pytest.approx(expected(BLUE, ["sea", "sky"], "a {}"), abs=1e-5)
    assert logits(third) == pytest.approx(expected(BLUE, ["cat", "dog"], "a {}"), abs=1e-5)
    assert first["image"] == {"width": 24, "height": 24, "format": "PNG", "notes": []}


@pytest.mark.parametrize("parameters", [None, {}])
def test_parameters_may_be_missing(vertex, parameters):
    instances = [{"image": FILES[RED], "labels": ["cat"]}]
    response = vertex.post(PREDICT, json={"instances": instances, "parameters": parameters})
    assert logits(response.json()["predictions"][0]) == pytest.approx(expected(RED, ["cat"]), abs=1e-5)


def test_parameters_may_name_a_label_set(vertex):
    vertex.put("/label-sets/pets", json={"labels": ["cat", "dog"]})
    instances = [{"image": FILES[RED]}, {"image": FILES[RED], "labels": ["sea"]}]
    response = vertex.post(PREDICT, json={"instances": instances, "parameters": {"label_set": "pets"}})
    pets, sea = response.json()["predictions"]
    assert logits(pets) == pytest.approx(expected(RED, ["cat", "dog"]), abs=1e-5)
    assert logits(sea) == pytest.approx(expected(RED, ["sea"]), abs=1e-5)


def test_only_the_invalid_instances_fail(vertex):
    instances = [
        {"image": FILES[RED], "labels": ["cat"]},
        {"image": "no base64", "labels": ["cat"]},
        {"image": FILES[RED], "labels": ["cat", ""]},
        {"image": {"b64": FILES[RED][:80]}, "labels": ["cat"]},
    ]
    response = vertex.post(PREDICT, json={"instances": instances})
    assert response.status_code == 200
    good, *bad = response.json()["predictions"]
    assert logits(good) == pytest.approx(expected(RED, ["cat"]), abs=1e-5)
    faults = [(one["error"]["error_type"], one["error"]["errors"][0]["pointer"]) for one in bad]
    assert faults == [
        ("invalid_image", "/instances/1/image"),
        ("invalid_labels", "/instances/2/labels/1"),
        ("invalid_image", "/instances/3/image"),
    ]


GOOD = {"image": FILES[RED]}


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, "/instances"),
        ({"instances": []}, 400, "/instances"),
        ({"instances": [GOOD] * 5, "parameters": {"labels": ["cat"]}}, 400, "/instances"),
        ({"instances": [{"image": ""}] * 10_001}, 400, "/instances"),
        ({"instances": [GOOD]}, 400, "/parameters/labels"),
        ({"instances": [{}], "parameters": {"labels": ["cat"]}}, 400, "/instances/0/image"),
        ({"instances": [{"image": {"b65": "x"}}], "parameters": {"labels": ["cat"]}}, 400, "/instances/0/image"),
        ({"instances": [GOOD | {"label": ["cat"]}]}, 400, "/instances/0"),
        ({"instances": [GOOD], "parameters": {"labels": ["cat"], "topk": 1}}, 400, "/parameters"),
        ({"instances": [GOOD], "parameters": {"labels": ["cat", ""]}}, 422, "/parameters/labels/1"),
        ({"instances": [GOOD], "parameters": {"labels": ["cat"], "templates": ["x"]}}, 422, "/parameters/templates/0"),
        ({"instances": [GOOD], "parameters": {"label_set": "a", "labels": ["b"]}}, 400, "/parameters/label_set"),
        ({"instances": [GOOD | {"labels": ["cat"] * 26}] * 2}, 422, "/instances"),
        ({"instances": GOOD}, 400, "/instances"),
    ],
)
def test_an_invalid_request_is_rejected_with_a_pointer(vertex, body, status, pointer):
    response = vertex.post(PREDICT, json=body)
    assert response.status_code == status, response.text
    assert response.json()["errors"][0]["pointer"] == pointer


def test_an_unknown_label_set_is_not_found(vertex):
    response = vertex.post(PREDICT, json={"instances": [GOOD], "parameters": {"label_set": "nowhere"}})
    assert (response.status_code, response.json()["error_type"]) == (404, "label_set_not_found")


def test_shared_labels_are_embedded_once(running):
    encoder = FakeEncoder()
    with running(encoder, text_cache_bytes=0, **ROUTES) as client:
        client.post(PREDICT, json={"instances": [GOOD] * 4, "parameters": {"labels": ["cat", "dog"]}})
    assert sum(encoder.text_batches) == 2


def test_without_the_aip_variables_the_routes_do_not_exist(client):
    assert client.get(HEALTH).status_code == 404
    assert client.post(PREDICT, json={}).status_code == 404


def test_predictions_need_an_api_key_and_the_health_route_does_not(running):
    with running(api_keys="k", **ROUTES) as client:
        assert client.get(HEALTH).json() == {"status": "ready"}
        assert client.post(PREDICT, json={}).status_code == 401


def test_a_vertex_ai_route_replaces_our_route_with_the_same_path(running):
    with running(aip_predict_route="/classify", aip_health_route="/health") as client:
        response = client.post("/classify", json={"instances": [GOOD], "parameters": {"labels": ["cat"]}})
        assert len(response.json()["predictions"]) == 1


def test_the_process_listens_on_the_port_of_vertex_ai(spawn):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    routes = {name.upper(): path for name, path in ROUTES.items()}
    process = spawn(variables={"SIGLIP_PORT": "", "AIP_HTTP_PORT": str(port)} | routes)
    assert str(process.client.base_url) == f"http://0.0.0.0:{port}"
    assert process.client.get(HEALTH).status_code == 200
    response = process.client.post(PREDICT, json={"instances": [GOOD | {"labels": ["cat"]}]})
    assert logits(response.json()["predictions"][0]) == pytest.approx(expected(RED, ["cat"]), abs=1e-5)
