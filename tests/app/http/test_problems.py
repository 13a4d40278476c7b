"""One request for each error code, over HTTP: status and body."""

import signal
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from PIL import Image

from app.errors import ServiceError
from app.label_sets.sqlite_tables import FILE
from tests.app.image_files import encoded, plain_image
from tests.fakes import FakeEncoder

PNG = encoded(plain_image())
TOO_MANY_PIXELS = encoded(Image.new("1", (10_000, 6_000)))


def raw(image: bytes = PNG, media_type: str = "image/png", **options) -> dict:
    return {
        "method": "POST",
        "url": "/classify",
        "content": image,
        "headers": {"Content-Type": media_type},
        "params": {"labels": "cat"} | options,
    }


REQUESTS = {
    "invalid_request": (400, raw(lables="cat")),
    "not_found": (404, {"method": "GET", "url": "/classfy"}),
    "label_set_not_found": (404, {"method": "GET", "url": "/label-sets/zoo"}),
    "method_not_allowed": (405, {"method": "GET", "url": "/classify"}),
    "other_encoder": (
        409,
        {
            "method": "POST",
            "url": "/classify/embeddings",
            "json": {"embeddings": [], "model_fingerprint": "0" * 64, "labels": ["cat"]},
        },
    ),
    "precondition_failed": (
        412,
        {"method": "PUT", "url": "/label-sets/zoo", "json": {"labels": ["cat"]}, "headers": {"If-Match": "*"}},
    ),
    "body_too_large": (413, raw(bytes(20_000_001))),
    "image_too_large": (413, raw(TOO_MANY_PIXELS)),
    "unsupported_media_type": (415, raw(media_type="text/html")),
    "invalid_image": (422, raw(PNG[:60])),
    "invalid_labels": (422, raw(labels=" ")),
    "invalid_template": (422, raw(templates="a photo")),
}
TESTED_SEPARATELY = {
    "unauthorized",
    "body_timeout",
    "forbidden",  # in test_authentication.py
    "overloaded",
    "internal_error",
    "not_ready",
    "draining",
    "deadline_exceeded",
    "label_sets_read_only",  # in cluster/test_replica.py
    "decoder_failed",  # and image_too_expensive: in routes/test_decode_faults.py
    "image_too_expensive",
    "store_unavailable",
    "model_not_found",  # in test_openai_errors.py
}


def check_problem(response, status: int, code: str) -> dict:
    problem = response.json()
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    assert (problem["status"], problem["error_type"], problem["type"]) == (status, code, f"urn:siglip:error:{code}")
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert problem["detail"] == problem["error"] != ""
    assert problem["title"]
    assert all(set(fault) == {"pointer", "message"} for fault in problem["errors"])
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize(("code", "status", "request_"), [(code, *row) for code, row in REQUESTS.items()])
def test_an_error_is_a_problem_with_its_code(client, code, status, request_):
    check_problem(client.request(**request_), status, code)


def test_every_code_is_tested_in_this_file():
    assert {error.code for error in ServiceError.__subclasses__()} == REQUESTS.keys() | TESTED_SEPARATELY


def test_a_method_that_is_not_allowed_gets_the_allowed_ones(client):
    response = client.get("/classify")
    assert response.headers["Allow"] == "POST"
    assert response.json()["detail"] == "This path accepts POST."


def test_a_full_queue_is_429_with_retry_after_and_probes_still_succeed(running):
    entered, free = threading.Event(), threading.Event()

    def before_batch() -> None:
        entered.set()
        free.wait()

    with running(FakeEncoder(before_batch), max_queue_items=1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.request, **raw())
        entered.wait()
        response = client.request(**raw())
        ready = client.get("/health/ready")
        free.set()
        assert waiting.result().status_code == 200
    check_problem(response, 429, "overloaded")
    assert int(response.headers["Retry-After"]) >= 1
    assert ready.status_code == 200


def test_a_failure_on_the_device_is_500_and_the_next_request_succeeds(running):
    failures = iter([True] * 2)  # both towers of the first request

    def before_batch() -> None:
        if next(failures, False):
            raise RuntimeError("secret of the device")

    with running(FakeEncoder(before_batch)) as client:
        failed, succeeded = client.request(**raw()), client.request(**raw())
    check_problem(failed, 500, "internal_error")
    assert "secret" not in failed.text
    assert succeeded.status_code == 200


def test_a_score_that_is_not_a_number_is_500(running):
    with running(FakeEncoder(scale=float("nan"))) as client:
        check_problem(client.request(**raw()), 500, "internal_error")


def test_a_request_during_the_start_is_503_with_the_stage(running):
    free = threading.Event()
    with running(FakeEncoder(before_warm_up=free.wait), wait=False) as client:
        while "compiling" not in client.get("/health/ready").text:
            pass
        response = client.request(**raw())
        free.set()
    problem = check_problem(response, 503, "not_ready")
    assert problem["detail"] == "The model is not ready: compiling."


def test_a_request_without_its_key_is_401(running):
    with running(api_keys="sesame") as client:
        response = client.request(**raw())
    check_problem(response, 401, "unauthorized")
    assert "sesame" not in response.text


def test_a_body_that_does_not_arrive_in_time_is_408(running):
    def slow():
        yield PNG[:10]
        free.wait()

    free = threading.Event()
    with running(body_timeout_s=0.1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.request, **raw(slow()))
        while not waiting.done() and not free.wait(0.3):
            free.set()
        check_problem(waiting.result(), 408, "body_timeout")


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_503_with_retry_after(running, tmp_path):
    with running(data_dir=tmp_path) as client, closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        response = client.put("/label-sets/pets", json={"labels": ["cat"]})
        other.execute("ROLLBACK")
        check_problem(response, 503, "store_unavailable")
        assert int(response.headers["Retry-After"]) >= 1
        assert "siglip_store_failures_total 1.0" in client.get("/metrics").text
        assert client.put("/label-sets/pets", json={"labels": ["cat"]}).status_code == 201
        assert "siglip_store_up 1.0" in client.get("/metrics").text


def test_a_request_that_takes_too_long_is_504(running):
    free = threading.Event()
    with running(FakeEncoder(before_batch=free.wait), request_timeout_s=0.1) as client:
        response = client.request(**raw())
        free.set()
    check_problem(response, 504, "deadline_exceeded")


def test_a_probe_during_the_drain_is_503(spawn):
    process = spawn(drain_s=60)
    process.popen.send_signal(signal.SIGTERM)
    check_problem(process.wait_until_draining(), 503, "draining")
