from collections.abc import Iterator

import httpx
import pytest

from tests.app.image_files import encoded, plain_image

PNG = encoded(plain_image())
LIMIT_BYTES = 20_000_000
HEAD = b"POST /classify?labels=cat HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


def post(image: bytes = PNG, **headers: str) -> dict:
    return {"content": image, "params": {"labels": "cat"}, "headers": {"Content-Type": "image/png"} | headers}


@pytest.fixture(scope="module")
def protected(running, tmp_path_factory) -> Iterator[httpx.Client]:
    """A service whose API keys come from the setting and from a file."""
    file = tmp_path_factory.mktemp("keys") / "keys"
    file.write_text("from-a-file\n\nclé\n", encoding="utf-8")
    with running(api_keys="first, second", api_keys_file=file) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer first"},
        {"Authorization": "bearer  second"},
        {"X-API-Key": "from-a-file"},
        {"X-API-Key": "clé".encode()},
        {"X-API-Key": "wrong", "Authorization": "Bearer first"},
        {"X-API-Key": "first", "Authorization": "Bearer wrong"},
        {"X-API-Key": "first", "Authorization": "Basic bWU6c2VjcmV0"},  # for a proxy, and passed on by it
    ],
)
def test_a_valid_key_in_either_header_is_enough(protected, headers):
    assert protected.post("/classify", **post(**headers)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({}, "This service needs an API key."),
        ({"Authorization": "Bearer"}, "This service needs an API key."),
        ({"Authorization": "Basic first"}, "This service needs an API key."),
        ({"Authorization": "first"}, "This service needs an API key."),
        ({"X-API-Key": "firs"}, "This API key is not valid."),
        ({"X-API-Key": "first,second"}, "This API key is not valid."),
        ({"Authorization": "Bearer first second"}, "This API key is not valid."),
        ({"X-API-Key": b"\xff\xfe"}, "This API key is not valid."),
        ({"X-API-Key": "wrong", "Authorization": "Bearer wrong"}, "This API key is not valid."),
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        *("/classify", "/classify/batch", "/embed/text", "/nowhere", "/healthy"),
        *("/", "/health", "/v2/models/m/infer"),  # public paths need no key for GET and HEAD only
    ],
)
def test_without_a_valid_key_every_response_is_401(protected, path, headers, detail):
    response = protected.post(path, **post(**headers))
    assert (response.status_code, response.json()["error_type"]) == (401, "unauthorized")
    assert response.json()["detail"].startswith(detail)
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/info", "/docs", "/openapi.json"])
def test_public_paths_need_no_key(protected, path):
    assert protected.get(path).status_code == 200


def test_the_public_paths_are_a_setting(running):
    with running(api_keys="k", public_paths="/health", wait=False) as client:
        while client.get("/health/ready").status_code != 200:
            pass
        assert client.get("/info").status_code == 401


def test_a_wrong_key_is_reported_before_a_body_that_is_too_large(protected):
    response = protected.post("/classify", **post(bytes(LIMIT_BYTES + 1), **{"X-API-Key": "wrong"}))
    assert response.status_code == 401
