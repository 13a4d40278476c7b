"""The Open Inference Protocol, tested with Triton's client."""

import base64
import threading
from collections.abc import Iterator, Sequence

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.app.image_files import BLUE, RED, encoded, plain_image
from tests.fakes import FakeEncoder

LABELS = ["cat", "dog", "bird"]
TEMPLATE = "This is a photo of {}."
MODEL = "FakeSigLIP"
FILES = {colour: encoded(plain_image(colour)) for colour in (RED, BLUE)}


def logits(encoder: FakeEncoder, colour, template: str = TEMPLATE) -> list[float]:
    """Returns the expected logits of one image, in the order of the labels."""
    return [encoder.logit(plain_image(colour), template.replace("{}", label)) for label in LABELS]


def tensor(name: str, elements: Sequence[bytes | str], *, binary: bool, shape: list[int] | None = None):
    shape = shape or [len(elements)]
    made = triton.InferInput(name, shape, "BYTES")
    return made.set_data_from_numpy(np.array(elements, object).reshape(shape), binary_data=binary)


@pytest.fixture
def server(client: httpx.Client) -> Iterator[triton.InferenceServerClient]:
    """Triton's client, connected to the service."""
    with triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}") as server:
        yield server


def test_the_server_metadata(server):
    assert server.is_server_live()
    assert server.is_server_ready()
    facts = server.get_server_metadata()
    assert (facts["name"], facts["extensions"]) == ("siglip", ["binary_tensor_data"])


@pytest.mark.parametrize("version", ["", "1"])
def test_the_model_metadata_lists_inputs_and_outputs(server, version):
    assert server.is_model_ready(MODEL, version)
    facts = server.get_model_metadata(MODEL, version)
    assert (facts["name"], facts["versions"]) == (MODEL, ["1"])
    assert facts["inputs"] == [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("image", "labels")]
    assert [row["name"] for row in facts["outputs"]] == ["logit", "sigmoid", "softmax"]


@pytest.mark.parametrize(("model", "version", "name"), [("other", "", MODEL), (MODEL, "2", "1"), ("other", "2", MODEL)])
def test_another_model_or_version_is_not_found(server, model, version, name):
    assert not server.is_model_ready(model, version)
    inputs = [tensor("image", [FILES[RED]], binary=True), tensor("labels", LABELS, binary=True)]
    for ask in (lambda: server.get_model_metadata(model, version), lambda: server.infer(model, inputs, version)):
        with pytest.raises(InferenceServerException, match=f"The served (model|version) is {name}.") as error:
            ask()
        assert error.value.status() == "404"


@pytest.mark.parametrize("binary_out", [True, False])
@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("colours", [[RED], [BLUE, RED, BLUE]])
def test_images_are_scored_in_the_order_of_the_request(server, encoder, colours, binary_in, binary_out):
    files = [FILES[colour] if binary_in else base64_of(FILES[colour]) for colour in colours]
    inputs = [tensor("image", files, binary=binary_in), tensor("labels", LABELS, binary=binary_in)]
    outputs = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in ("softmax", "logit", "sigmoid")]
    result = server.infer(MODEL, inputs, "1", outputs, request_id="42")
    response = result.get_response()
    assert (response["id"], response["model_name"], response["model_version"]) == ("42", MODEL, "1")
    assert [output["name"] for output in response["outputs"]] == ["softmax", "logit", "sigmoid"]
    assert all("data" not in output if binary_out else "parameters" not in output for output in response["outputs"])
    expected = np.array([logits(encoder, colour) for colour in colours])
    logit, sigmoid, softmax = (result.as_numpy(name) for name in ("logit", "sigmoid", "softmax"))
    assert logit.dtype == np.float32
    np.testing.assert_allclose(logit, expected, atol=1e-5)
    np.testing.assert_allclose(sigmoid, 1 / (1 + np.exp(-expected)), rtol=1e-4)
    np.testing.assert_allclose(softmax.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(softmax, np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True), rtol=1e-4)


def base64_of(file: bytes) -> str:
    return base64.b64encode(file).decode()


def test_without_requested_outputs_all_are_returned_as_bytes(server):
    inputs = [tensor("labels", LABELS, binary=False), tensor("image", [FILES[RED]], binary=True)]
    response = server.infer(MODEL, inputs).get_response()
    assert [output["name"] for output in response["outputs"]] == ["logit", "sigmoid", "softmax"]
    assert {output["parameters"]["binary_data_size"] for output in response["outputs"]} == {12}
    assert "id" not in response


def test_templates_are_an_input_and_tensors_may_have_two_dimensions(server, encoder):
    inputs = [
        tensor("image", [FILES[RED], FILES[BLUE]], binary=True, shape=[2, 1]),
        tensor("labels", LABELS, binary=True, shape=[1, 3]),
        tensor("templates", ["a {}"], binary=True),
    ]
    result = server.infer(MODEL, inputs).as_numpy("logit")
    np.testing.assert_allclose(result, [logits(encoder, RED, "a {}"), logits(encoder, BLUE, "a {}")], atol=1e-5)


@pytest.mark.parametrize(
    ("files", "labels", "message", "status"),
    [
        ([FILES[RED], FILES[RED][:50]], LABELS, "The PNG is truncated: the file ends before the image does.", "422"),
        ([b"no image"], LABELS, "The file is not an image", "415"),
        ([FILES[RED]], ["cat", ""], "Label 2 has 0 characters; it must have 1 to 256.", "422"),
        ([FILES[RED]] * 65, LABELS, "There are 65 images; send 1 to 64.", "400"),
        ([FILES[RED]], [b"\xff"], "an element is not UTF-8.", "400"),
    ],
)
def test_the_client_shows_our_error_message(server, files, labels, message, status):
    with pytest.raises(InferenceServerException) as error:
        server.infer(MODEL, [tensor("image", files, binary=True), tensor("labels", labels, binary=True)])
    assert error.value.message().startswith(message)
    assert error.value.status() == status


def test_an_api_key_is_required_to_infer_but_not_for_metadata(running):
    with running(api_keys="k") as client:
        url = f"{client.base_url.host}:{client.base_url.port}"
        inputs = [tensor("image", [FILES[RED]], binary=True), tensor("labels", LABELS, binary=True)]
        with triton.InferenceServerClient(url) as server:
            assert server.is_model_ready(MODEL)
            with pytest.raises(InferenceServerException, match="This service needs an API key"):
                server.infer(MODEL, inputs)
            assert server.infer(MODEL, inputs, headers={"Authorization": "Bearer k"}).as_numpy("logit").shape == (1, 3)


def test_while_the_model_loads_the_server_is_live_and_not_ready(running):
    loading = threading.Event()
    with running(FakeEncoder(before_warm_up=lambda: (loading.wait(), None)[1]), wait=False) as client:
        with triton.InferenceServerClient(f"{client.base_url.host}:{client.base_url.port}") as server:
            assert server.is_server_live()
            assert not server.is_server_ready()
            assert not server.is_model_ready(MODEL)
            with pytest.raises(InferenceServerException, match="The model is not ready: compiling"):
                server.get_model_metadata(MODEL)
        loading.set()


def test_more_images_than_the_queue_has_space_for_are_rejected(running):
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder(before_batch=lambda: (entered.set(), free.wait()))
    with running(encoder, max_queue_items=2) as client:
        url = f"{client.base_url.host}:{client.base_url.port}"
        waiting = threading.Thread(
            target=client.post,
            args=("/classify",),
            kwargs={"files": {"image": ("x", FILES[RED])}, "data": {"labels": "cat"}},
        )
        waiting.start()
        entered.wait()
        with triton.InferenceServerClient(url) as server:
            inputs = [tensor("image", [FILES[RED]] * 2, binary=True), tensor("labels", LABELS, binary=True)]
            with pytest.raises(InferenceServerException, match="The queue is full") as error:
                server.infer(MODEL, inputs)
        free.set()
        waiting.join()
    assert error.value.status() == "429"


def test_another_content_type_is_rejected(client):
    response = client.post(f"/v2/models/{MODEL}/infer", content=FILES[RED], headers={"Content-Type": "image/png"})
    assert (response.status_code, response.json()["error_type"]) == (415, "unsupported_media_type")
