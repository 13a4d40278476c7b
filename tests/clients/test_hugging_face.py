"""Real Hugging Face clients: three versions of huggingface_hub, and huggingface.js."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.app.conftest import Process, serve
from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import FakeEncoder

HERE = Path(__file__).parent
RED_PNG = encoded(plain_image(RED))
LABELS = ["cat", "dog", "bird"]
HUBS = ["0.25.2", "0.26.5", "0.28.1"]
CLIENTS = [*HUBS, "js"]
WITH_TEMPLATE = CLIENTS[1:]  # the oldest version has no template


def command(client: str) -> list[str]:
    """Returns the command that sends one request with this client."""
    if client == "js":
        needed, arguments = HERE / "node_modules/@huggingface/inference", ["node", str(HERE / "ask.mjs")]
    else:
        needed = Path(sys.prefix) / f"hub-{client}/bin/python"
        arguments = [str(needed), str(HERE / "ask.py")]
    assert needed.exists(), f"{needed} is missing; `make clients` sets it up"
    return arguments


def ask(client: str, service: httpx.Client, image: Path, **changes: Any) -> dict[str, Any]:
    """Returns the result that a user of the client gets: rows, or an error."""
    request = {
        "address": str(service.base_url),
        "token": "hf_key",
        "image": str(image),
        "labels": LABELS,
        "template": None,
    }
    done = subprocess.run(
        command(client),
        input=json.dumps(request | {"image": str(image)} | changes),
        env={"PATH": os.environ["PATH"], "HOME": str(image.parent)},  # hides a token saved on this machine
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert client == "js" or result.pop("version") == client
    return result


def logits(template: str = "This is a photo of {}.") -> dict[str, float]:
    return {label: FakeEncoder().logit(plain_image(RED), template.replace("{}", label)) for label in LABELS}


def num_responses(service: httpx.Client, status: int) -> int:
    """Returns how many requests got this status."""
    line = f'siglip_http_requests_total{{method="POST",route="/",status="{status}"}} '
    found = [text for text in service.get("/metrics").text.splitlines() if text.startswith(line)]
    return int(float(found[0].removeprefix(line))) if found else 0


@pytest.fixture
def red(tmp_path: Path) -> Path:
    file = tmp_path / "red.png"
    file.write_bytes(RED_PNG)
    return file


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    """A service with the API key `hf_key`."""
    with serve(api_keys="hf_key") as client:
        yield client


@pytest.mark.parametrize("path", ["", "hf"])
@pytest.mark.parametrize("client", CLIENTS)
def test_labels_are_sorted_with_the_sigmoid_as_score_and_our_additional_fields(service, red, client, path):
    rows = ask(client, service, red, address=f"{service.base_url}/{path}")["rows"]
    assert {row["label"]: row["logit"] for row in rows} == pytest.approx(logits(), abs=1e-5)
    assert [row["label"] for row in rows] == sorted(LABELS, key=lambda label: -logits()[label])
    assert all(row["score"] == row["sigmoid"] for row in rows)
    assert sum(row["softmax"] for row in rows) == pytest.approx(1)


@pytest.mark.parametrize("client", WITH_TEMPLATE)
def test_a_template_is_used(service, red, client):
    rows = ask(client, service, red, template="a {}")["rows"]
    assert {row["label"]: row["logit"] for row in rows} == pytest.approx(logits("a {}"), abs=1e-5)


def test_huggingface_js_may_send_only_the_image(service, red):
    assert len(ask("js", service, red, bare=True)["rows"]) == 3


@pytest.mark.parametrize("client", HUBS)
def test_the_hubs_client_checks_health_and_reads_info(service, red, client):
    result = ask(client, service, red, facts=True)
    assert result["healthy"] is True
    assert result["info"]["variant"] == "FakeSigLIP"


TOO_LARGE = "The body is larger than the 20,000,000 bytes that this service accepts."
NO_TEXT = "parameters/candidate_labels/1: input should be a valid string."


@pytest.mark.parametrize(
    ("client", "changes", "content", "status", "expected"),
    [
        *[
            (client, *row)
            for client in CLIENTS
            for row in (
                ({"labels": ["cat", " "]}, RED_PNG, 422, "Label 2 has 0 characters; it must have 1 to 256."),
                ({}, RED_PNG[:50], 422, "The PNG is truncated: the file ends before the image does."),
                ({}, b"no image", 415, "The file is not an image in an accepted format"),
                (
                    {"token": "wrong"},
                    RED_PNG,
                    401,
                    "This API key is not valid. Send it as `Authorization: Bearer <key>`",
                ),
                ({"token": None}, RED_PNG, 401, "This service needs an API key."),
            )
        ],
        # For js, the next test does this with the server as a process.
        *[(client, {}, bytes(16_000_000), 413, TOO_LARGE) for client in HUBS],
        # Older versions join the labels to one string.
        *[(client, {"labels": ["cat", 5]}, RED_PNG, 400, NO_TEXT) for client in ("0.28.1", "js")],
    ],
)
def test_the_user_sees_our_message_once_and_the_request_id(service, red, client, changes, content, status, expected):
    red.write_bytes(content)
    result = ask(client, service, red, **changes)
    assert result["message"].count(expected) == 1
    assert result["status"] == status
    assert result["request_id"]


@pytest.mark.parametrize(
    ("token", "megabytes", "expected"), [("wrong", 10, "This API key is not valid."), ("hf_key", 16, TOO_LARGE)]
)
def test_a_client_rejected_during_an_upload_still_reads_the_error(red, tmp_path, token, megabytes, expected):
    red.write_bytes(bytes(megabytes * 1_000_000))
    process = Process("works", {"api_keys": "hf_key", "data_dir": tmp_path / "data", "drain_s": 0}, {})
    try:
        process.wait_until_ready()
        for client in [*CLIENTS, *["js"] * 15]:  # the Node.js client sometimes lost the response
            assert expected in ask(client, process.client, red, token=token)["message"]
    finally:
        process.kill()


def about_one_per_second(count: int, started_s: float) -> bool:
    """Returns whether `count` requests since `started_s` are at most one per second, plus one."""
    return count <= time.monotonic() - started_s + 1


@pytest.mark.parametrize("client", CLIENTS)
def test_while_the_model_loads_a_client_retries_about_once_per_second(red, client):
    loading = threading.Event()
    encoder = FakeEncoder(before_warm_up=lambda: (loading.wait(), None)[1])
    with serve(encoder, wait=False) as service, ThreadPoolExecutor(1) as other:
        started_s = time.monotonic()
        waiting = other.submit(ask, client, service, red)
        while num_responses(service, 503) < 2:
            time.sleep(0.05)
        assert about_one_per_second(num_responses(service, 503), started_s)
        loading.set()
        assert len(waiting.result()["rows"]) == 3
        assert about_one_per_second(num_responses(service, 503), started_s)
        assert num_responses(service, 200) == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_a_busy_service_gets_one_request_and_says_when_to_retry(red, client):
    entered, free = threading.Event(), threading.Event()
    encoder = FakeEncoder(before_batch=lambda: (entered.set(), free.wait()))
    with serve(encoder, max_queue_items=1) as service, ThreadPoolExecutor(1) as other:
        image = {"image": ("red.png", RED_PNG)}
        waiting = other.submit(service.post, "/classify", files=image, data={"labels": "cat"})
        entered.wait()
        result = ask(client, service, red)
        free.set()
        assert waiting.result().status_code == 200
        assert num_responses(service, 429) == 1
    assert result["message"].count("The queue is full. Try again in 1 s.") == 1
    assert result["status"] == 429
