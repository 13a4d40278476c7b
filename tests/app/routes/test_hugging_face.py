"""The Hugging Face API: the body formats of all client generations, and the current client of huggingface_hub."""

import base64
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import BadRequestError, HfHubHTTPError

from app.images.identify import ACCEPTED
from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import FakeEncoder

RED_PNG = encoded(plain_image(RED))
BASE64 = base64.b64encode(RED_PNG).decode()
LABELS = ["cat", "dog", "bird"]
TEMPLATE = "This is a photo of {}."


def logits(encoder: FakeEncoder, template: str = TEMPLATE) -> dict[str, float]:
    return {label: encoder.logit(plain_image(RED), template.replace("{}", label)) for label in LABELS}


@pytest.mark.parametrize("path", ["/", "/hf"])
@pytest.mark.parametrize(
    "body",
    [
        {"image": BASE64, "parameters": {"candidate_labels": "cat,dog,bird"}},
        {"inputs": {"image": BASE64, "candidateLabels": "cat,dog,bird"}},
        {"inputs": {"image": BASE64, "candidateLabels": "cat,dog,bird"}, "parameters": {"hypothesis_template": None}},
        {"inputs": BASE64, "parameters": {"candidate_labels": LABELS}},
        {"inputs": {"image": BASE64}, "parameters": {"candidate_labels": LABELS}},
        {"inputs": f"data:image/png;base64,{BASE64}", "parameters": {"candidate_labels": LABELS}},
    ],
)
def test_the_bodies_of_all_generations_give_the_same_result(client, encoder, path, body):
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert {row["label"]: row["logit"] for row in response.json()} == pytest.approx(logits(encoder), abs=1e-5)


def test_the_response_is_that_of_classify_with_the_sigmoid_as_score(client):
    ours = client.post("/classify", json={"image": BASE64, "labels": LABELS}).json()["scores"]
    rows = client.post("/", json={"inputs": BASE64, "parameters": {"candidate_labels": LABELS}}).json()
    assert rows == [row | {"score": row["sigmoid"]} for row in ours]


@pytest.mark.parametrize("template", ["a {}", "{0.__class__} {}", "{x} {}"])
def test_a_template_is_not_used_as_a_format_string(client, encoder, template):
    parameters = {"candidate_labels": LABELS, "hypothesis_template": template}
    response = client.post("/", json={"inputs": BASE64, "parameters": parameters}).json()
    assert {row["label"]: row["logit"] for row in response} == pytest.approx(logits(encoder, template), abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({}, 400, "/inputs"),
        ({"inputs": BASE64, "image": BASE64, "parameters": {"candidate_labels": LABELS}}, 400, "/inputs"),
        ({"inputs": 5, "parameters": {"candidate_labels": LABELS}}, 400, "/inputs"),
        ({"inputs": {"image": 5}, "parameters": {"candidate_labels": LABELS}}, 400, "/inputs/image"),
        ({"inputs": BASE64}, 400, "/parameters/candidate_labels"),
        ({"inputs": BASE64, "parameters": "cat"}, 400, "/parameters"),
        ({"inputs": BASE64, "parameters": {"candidate_labels": ["cat", 5]}}, 400, "/parameters/candidate_labels/1"),
        ({"inputs": BASE64, "parameters": {"candidate_labels": LABELS, "top_k": 1}}, 400, "/parameters"),
        ({"inputs": BASE64, "parameters": {"candidate_labels": LABELS}, "input": 1}, 400, ""),
        (
            {"inputs": {"image": BASE64, "candidateLabels": "a,b"}, "parameters": {"candidate_labels": LABELS}},
            400,
            "/parameters/candidate_labels",
        ),
        ({"inputs": BASE64, "parameters": {"candidate_labels": []}}, 422, "/parameters/candidate_labels"),
        ({"inputs": BASE64, "parameters": {"candidate_labels": "cat,,dog"}}, 422, "/parameters/candidate_labels/1"),
        ({"inputs": {"image": BASE64, "candidateLabels": []}}, 422, "/inputs/candidateLabels"),
        (
            {"inputs": BASE64, "parameters": {"candidate_labels": LABELS, "hypothesis_template": "x"}},
            422,
            "/parameters/hypothesis_template",
        ),
        ({"inputs": "/etc/passwd", "parameters": {"candidate_labels": LABELS}}, 422, "/inputs"),
        ({"inputs": {"image": BASE64[:60]}, "parameters": {"candidate_labels": LABELS}}, 422, "/inputs"),
        ({"image": BASE64[:60], "parameters": {"candidate_labels": LABELS}}, 422, "/image"),
    ],
)
def test_the_pointer_of_an_error_names_the_field_in_the_body(client, body, status, pointer):
    response = client.post("/hf", json=body)
    assert response.status_code == status
    assert [fault["pointer"] for fault in response.json()["errors"]] == [pointer]


def test_only_the_first_unknown_nested_fields_are_reported(client):
    parameters = {"candidate_labels": LABELS} | {f"unknown{index}": 1 for index in range(1000)}
    response = client.post("/", json={"inputs": BASE64, "parameters": parameters})
    assert (response.status_code, len(response.json()["errors"])) == (400, 10)


def test_a_body_that_is_not_json_is_rejected(client):
    response = client.post("/", content=RED_PNG, headers={"Content-Type": "image/png"})
    assert (response.status_code, response.json()["error_type"]) == (415, "unsupported_media_type")


@pytest.fixture(scope="module")
def secured(running) -> Iterator[str]:
    """The URL of a service with the API key `hf_key`."""
    with running(api_keys="hf_key") as client:
        yield str(client.base_url)


def hub(url: str, **options) -> InferenceClient:
    return InferenceClient(**{"model": url, "token": "hf_key"} | options)


@pytest.mark.parametrize(
    "options",
    [{}, {"provider": "auto"}, {"provider": "hf-inference"}, {"token": None, "api_key": "hf_key"}],
)
@pytest.mark.parametrize("path", ["", "/", "/hf"])
def test_the_hubs_client_gets_labels_with_scores_and_our_additional_fields(secured, path, options):
    expected = logits(FakeEncoder())
    rows = hub(secured + path, **options).zero_shot_image_classification(RED_PNG, candidate_labels=LABELS)
    assert [row.label for row in rows] == sorted(LABELS, key=lambda label: -expected[label])
    for row in rows:
        assert row.logit == pytest.approx(expected[row.label], abs=1e-5)
        assert row.score == row.sigmoid
    assert sum(row.softmax for row in rows) == pytest.approx(1)


def test_the_hubs_client_works_with_base_url_and_a_template(secured, tmp_path):
    (tmp_path / "red.png").write_bytes(RED_PNG)
    client = InferenceClient(base_url=secured, api_key="hf_key")
    rows = client.zero_shot_image_classification(
        tmp_path / "red.png", candidate_labels=LABELS, hypothesis_template="a {}"
    )
    expected = logits(FakeEncoder(), "a {}")
    assert {row.label: row.logit for row in rows} == pytest.approx(expected, abs=1e-5)


def test_the_hubs_client_checks_health_and_reads_info(secured):
    client = hub(secured, provider="hf-inference")
    assert client.health_check()
    assert client.get_endpoint_info()["variant"] == "FakeSigLIP"


def shown(url: str, image: bytes = RED_PNG, labels=("cat", "dog"), template=None, **options) -> str:
    """Returns the message that a user of the hub's client sees, without the first lines of the client."""
    with pytest.raises(HfHubHTTPError) as error:
        hub(url, **options).zero_shot_image_classification(
            image, candidate_labels=list(labels), hypothesis_template=template
        )
    head, _, message = str(error.value).partition("\n\n")
    if error.value.response.status_code == 422:  # for this status, the client appends the whole body
        message, body, end = message.rsplit("\n", 2)
        assert (body, end) == (error.value.response.text, "")
    assert f"(Request ID: {error.value.response.headers['X-Request-Id']})" in head
    return message


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            {"token": "wrong"},
            "This API key is not valid. Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`.",
        ),
        (
            {"image": bytes(16_000_000)},
            "The body is larger than the 20,000,000 bytes that this service accepts.",
        ),
        (
            {"image": b"no image"},
            f"The file is not an image in an accepted format. Send one of {', '.join(ACCEPTED)}.",
        ),
        (
            {"image": RED_PNG[:50]},
            "The PNG is truncated: the file ends before the image does.",
        ),
        ({"labels": ["cat", ""]}, "Label 2 has 0 characters; it must have 1 to 256."),
        ({"template": "x"}, "Template 1 must contain {} for the label, at most 4 times."),
    ],
)
def test_the_hubs_client_shows_our_message_once(secured, request_, message):
    assert shown(secured, **request_) == message


def test_the_hubs_client_shows_what_is_wrong_with_a_malformed_request(running):
    with running(max_labels=3) as client, pytest.raises(BadRequestError, match=r"Bad request:\n.*should be a valid"):
        hub(str(client.base_url)).zero_shot_image_classification(RED_PNG, candidate_labels=["cat", 5])


def test_the_hubs_client_shows_the_request_id_that_it_sent(secured):
    with pytest.raises(HfHubHTTPError, match=r"\(Request ID: mine-1\)") as error:
        hub(secured, token="wrong", headers={"X-Request-Id": "mine-1"}).zero_shot_image_classification(
            RED_PNG, candidate_labels=LABELS
        )
    assert error.value.request_id == "mine-1"


def num_responses(client: httpx.Client, status: int) -> float:
    """Returns how many POST requests to / got this status."""
    line = f'siglip_http_requests_total{{method="POST",route="/",status="{status}"}} '
    found = [text for text in client.get("/metrics").text.splitlines() if text.startswith(line)]
    return float(found[0].removeprefix(line)) if found else 0


def test_the_hubs_client_sends_one_request_if_the_service_is_busy(running):
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder(before_batch=lambda: (entered.set(), free.wait()))
    with running(encoder, max_queue_items=1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(
            hub(str(client.base_url)).zero_shot_image_classification, RED_PNG, candidate_labels=LABELS
        )
        entered.wait()
        message = shown(str(client.base_url))
        count = num_responses(client, 429)
        free.set()
        assert len(waiting.result()) == 3
    assert message.endswith("\nThe queue is full. Try again in 1 s.")
    assert count == 1


def test_the_hubs_client_sends_one_request_while_the_model_loads(running):
    loading = threading.Event()
    with running(FakeEncoder(before_warm_up=lambda: (loading.wait(), None)[1]), wait=False) as client:
        message = shown(str(client.base_url))
        health = hub(str(client.base_url), provider="hf-inference").health_check()
        count = num_responses(client, 503)
        loading.set()
    assert message == "The model is not ready: compiling."
    assert not health
    assert count == 1
