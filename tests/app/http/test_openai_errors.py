"""One request for each error on OpenAI's paths, over HTTP: status, headers and body."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from app.http.openai_errors import is_openai_path, param_of
from tests.app.image_files import RED, encoded, plain_image
from tests.fakes import FakeEncoder, Faulty, allocate, segfault

PNG = encoded(plain_image(RED))
TOO_MANY_PIXELS = encoded(Image.new("1", (10_000, 6_000)))


def check_error(response: httpx.Response, status: int, kind: str, code: str, param: str | None = None) -> str:
    """Checks an error, and returns its message."""
    body = response.json()
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["X-Request-Id"]
    assert list(body) == ["error"]
    message = body["error"]["message"]
    assert message
    assert body["error"] == {"message": message, "type": kind, "param": param, "code": code}
    return str(message)


def post(given, **options) -> dict:
    return {"method": "POST", "url": "/v1/embeddings", "json": {"input": given} | options}


def image(content: bytes) -> dict[str, str]:
    return {"image": base64.b64encode(content).decode()}


def content(body: bytes, **headers: str) -> dict:
    json = {"Content-Type": "application/json"}
    return {"method": "POST", "url": "/v1/embeddings", "content": body, "headers": json | headers}


INVALID = "invalid_request_error"


@pytest.mark.parametrize(
    ("request_", "status", "code", "param", "message"),
    [
        (content(b"{"), 400, "invalid_request", None, "The body is not JSON"),
        (content(b"[]"), 400, "invalid_request", None, "the body: input should be an object"),
        (post("cat", lables=1), 400, "invalid_request", None, "unknown field"),
        ({"method": "POST", "url": "/v1/embeddings", "json": {}}, 400, "invalid_request", "input", "input is missing"),
        (post([5, 7]), 400, "invalid_request", "input", "check_embedding_ctx_length=False"),
        (post([[5, 7]]), 400, "invalid_request", "input", "check_embedding_ctx_length=False"),
        (post(["cat", {"image": "https://x.org/y.png"}]), 400, "invalid_request", "input[1].image", "not fetched"),
        (
            post([{"type": "image_url", "image_url": {"url": "http://x.org/y.png"}}]),
            400,
            "invalid_request",
            "input[0].image_url.url",
            "not fetched",
        ),
        (post("cat", dimensions=16), 400, "invalid_request", "dimensions", "have 32 dimensions"),
        (post("cat", dimensions=32), 400, "invalid_request", "dimensions", "have 32 dimensions"),
        (post("cat", encoding_format="hex"), 400, "invalid_request", "encoding_format", "'float' or 'base64'"),
        (post([image(PNG)] * 65), 400, "invalid_request", "input", "There are 65 images; send 1 to 64."),
        (
            content(b'{"input": "cat"}', **{"X-Request-Timeout-Ms": "soon"}),
            400,
            "invalid_request",
            None,
            "X-Request-Timeout-Ms must be",
        ),
        (post("cat", model="text-embedding-3-small"), 404, "model_not_found", "model", "Send FakeSigLIP/fake_8"),
        ({"method": "GET", "url": "/v1/models/gpt-5"}, 404, "model_not_found", "model", "Send FakeSigLIP/fake_8"),
        ({"method": "POST", "url": "/v1/embeddings/"}, 404, "not_found", None, "nothing at this path"),
        ({"method": "GET", "url": "/v1/embeddings"}, 405, "method_not_allowed", None, "This path accepts POST."),
        ({"method": "POST", "url": "/v1/models"}, 405, "method_not_allowed", None, "This path accepts GET, HEAD."),
        (content(bytes(20_000_001)), 413, "body_too_large", None, "20,000,000 bytes"),
        (post(image(TOO_MANY_PIXELS)), 413, "image_too_large", "input.image", "50,000,000 pixels"),
        (content(b"cat", **{"Content-Type": "text/plain"}), 415, "unsupported_media_type", None, "application/json"),
        (post(["cat", image(b"a text")]), 415, "unsupported_media_type", "input[1].image", "not an image"),
        (post([image(PNG), image(PNG[:60])]), 422, "invalid_image", "input[1].image", "truncated"),
        (post("data:image/png;base64,####"), 422, "invalid_image", "input", "not base64"),
        (post(["cat", " "]), 422, "invalid_labels", "input[1]", "Input 2 must have 1 to 1,024 characters"),
        (post("x" * 1025), 422, "invalid_labels", "input", "Send a file as a data URL"),
        (post("a cat " * 200), 422, "invalid_labels", "input", "that are not all blank."),
    ],
)
def test_what_is_wrong_in_a_request_is_an_invalid_request_error(client, request_, status, code, param, message):
    assert message in check_error(client.request(**request_), status, INVALID, code, param)


def test_a_compressed_body_is_415_before_routing(client):
    response = client.request(**content(b"x", **{"Content-Encoding": "gzip"}))
    check_error(response, 415, INVALID, "unsupported_media_type")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/models", "/v1/models/FakeSigLIP", "/siglip/v1/embeddings"])
def test_a_request_without_its_key_is_401_before_routing(running, path):
    with running(api_keys="sesame", root_path="/siglip") as client:
        method = "POST" if path.endswith("embeddings") else "GET"
        response = client.request(method, path)
        assert client.get("/v1/models", headers={"Authorization": "Bearer sesame"}).status_code == 200
        other = client.post("/embed/text")
    assert "Authorization: Bearer" in check_error(response, 401, "authentication_error", "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert other.headers["Content-Type"] == "application/problem+json"


def test_a_full_queue_is_429_with_retry_after(running):
    entered, free = threading.Event(), threading.Event()

    def before_batch() -> None:
        entered.set()
        free.wait()

    with running(FakeEncoder(before_batch), max_queue_items=1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.request, **post(image(PNG)))
        entered.wait()
        response = client.request(**post("cat"))  # refused before its body is read
        free.set()
        assert waiting.result().status_code == 200
    check_error(response, 429, "rate_limit_error", "overloaded")
    assert int(response.headers["Retry-After"]) >= 1


def test_a_body_that_does_not_arrive_in_time_is_408(running):
    free = threading.Event()

    def slow():
        yield b'{"input": '
        free.wait()

    with running(body_timeout_s=0.1) as client, ThreadPoolExecutor(1) as other:
        waiting = other.submit(client.request, **content(slow()))
        while not waiting.done() and not free.wait(0.3):
            free.set()
        check_error(waiting.result(), 408, INVALID, "body_timeout")


@pytest.mark.parametrize(("fault", "code"), [(segfault, "decoder_failed"), (allocate, "image_too_expensive")])
def test_an_image_that_the_decoder_cannot_bear_is_422(running, fault, code):
    with running(FakeEncoder(preprocessor=Faulty(fault, RED)), decode_workers=1) as client:
        check_error(client.request(**post(["cat", image(PNG)])), 422, INVALID, code, "input[1].image")


def test_a_failure_on_the_device_is_500(running):
    def before_batch() -> None:
        raise RuntimeError("secret of the device")

    with running(FakeEncoder(before_batch)) as client:
        assert "secret" not in check_error(client.request(**post("cat")), 500, "server_error", "internal_error")


def test_an_unhandled_exception_is_500(running):
    class Broken(FakeEncoder):
        def tokenize(self, texts):
            raise LookupError("secret of the code")

    with running(Broken()) as client:
        assert "secret" not in check_error(client.request(**post("cat")), 500, "server_error", "internal_error")


def test_a_request_during_the_start_is_503_with_the_stage(running):
    free = threading.Event()
    with running(FakeEncoder(before_warm_up=free.wait), wait=False) as client:
        while "compiling" not in client.get("/health/ready").text:
            pass
        responses = [client.request(**post("cat")), client.get("/v1/models"), client.get("/v1/models/x")]
        free.set()
    for response in responses:
        assert "compiling" in check_error(response, 503, "server_error", "not_ready")


def test_a_request_that_takes_too_long_is_504(running):
    free = threading.Event()
    with running(FakeEncoder(before_batch=free.wait), request_timeout_s=0.1) as client:
        response = client.request(**post("cat"))
        free.set()
    check_error(response, 504, "server_error", "deadline_exceeded")


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000,
        b"POST /v1/embeddings?x HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST http://localhost/v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    ],
)
def test_a_request_that_is_not_valid_http_is_400(raw, request_):
    status, headers, body = raw(request_)
    assert (status, headers["content-type"]) == (400, "application/json")
    assert (body["error"]["type"], body["error"]["code"]) == (INVALID, "invalid_request")


def test_paths_that_vertex_ai_has_below_them_keep_their_own_errors(running):
    with running(aip_predict_route="/v1/models/siglip:predict", aip_health_route="/v1/models/siglip") as client:
        assert client.get("/v1/models/siglip").json() == {"status": "ready"}
        error = client.post("/v1/models/siglip:predict", json={})
    assert (error.status_code, error.headers["Content-Type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/embeddings", True),
        ("/v1/models", True),
        ("/v1/models/a/b", True),
        ("/v1/modelsx", False),
        ("/v1", False),
        ("/embed/text", False),
        ("/v1/models/theirs", False),
    ],
)
def test_openais_paths_are_known(path, expected):
    assert is_openai_path(path, ("/v1/models/theirs", None)) is expected


@pytest.mark.parametrize(
    ("pointer", "param"),
    [("", None), ("/model", "model"), ("/input/1", "input[1]"), ("/input/10/image_url/url", "input[10].image_url.url")],
)
def test_a_pointer_is_named_as_openai_names_parameters(pointer, param):
    assert param_of(pointer) == param
