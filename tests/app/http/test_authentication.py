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


PETS = {"json": {"labels": ["cat"]}}
CHANGES = [
    ("PUT", "/label-sets/pets"),
    ("PATCH", "/label-sets/pets"),
    ("DELETE", "/label-sets/pets"),
    ("POST", "/label-sets/pets/labels/0/examples"),
    ("DELETE", "/label-sets/pets/labels/0/examples"),
    ("POST", "/label-sets/-/preview"),
    ("PUT", "/label-sets"),
    ("POST", "/label-sets/"),
]


@pytest.fixture(scope="module")
def administered(running, tmp_path_factory) -> Iterator[httpx.Client]:
    """A service where only the holders of some keys may change label sets."""
    file = tmp_path_factory.mktemp("keys") / "admin-keys"
    file.write_text("admin-from-a-file\n")
    with running(api_keys="reader", admin_keys="admin", admin_keys_file=file, root_path="/siglip") as client:
        yield client


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_label_sets_are_only_changed_with_an_admin_key(administered, method, path):
    for prefix in ("", "/siglip"):
        response = administered.request(method, prefix + path, **PETS, headers={"X-API-Key": "reader"})
        assert (response.status_code, response.json()["error_type"]) == (403, "forbidden")
        assert response.json()["detail"].startswith("Label sets are only changed with an admin key.")
        assert response.headers["Connection"] == "close"  # the body was not read
        for key in ("", "wrong"):
            response = administered.request(method, prefix + path, **PETS, headers={"X-API-Key": key})
            assert response.status_code == 401
    for key in ("admin", "admin-from-a-file"):
        allowed = administered.request(method, path, **PETS, headers={"Authorization": f"Bearer {key}"})
        assert allowed.status_code not in (401, 403)


def test_an_admin_key_is_refused_before_a_body_that_is_too_large_is_read(administered):
    body = bytes(LIMIT_BYTES + 1)
    response = administered.put("/label-sets/pets", content=body, headers={"X-API-Key": "reader"})
    assert response.status_code == 403


@pytest.mark.parametrize("key", ["reader", "admin", "admin-from-a-file"])
def test_every_key_may_do_everything_else(administered, key):
    headers = {"X-API-Key": key}
    assert administered.post("/classify", **post(**headers)).status_code == 200
    assert administered.get("/label-sets", headers=headers).status_code == 200
    assert administered.get("/label-sets/none", headers=headers).status_code == 404
    assert administered.head("/label-sets", headers=headers).status_code == 200


def test_with_admin_keys_alone_everything_else_needs_no_key(running):
    with running(admin_keys="admin") as client:
        assert client.post("/classify", **post()).status_code == 200
        assert client.get("/label-sets").status_code == 200
        for key in ("", "wrong"):
            assert client.put("/label-sets/pets", **PETS, headers={"X-API-Key": key}).status_code == 403
        assert client.put("/label-sets/pets", **PETS, headers={"X-API-Key": "admin"}).status_code == 201
        document = client.get("/openapi.json").json()["paths"]
        assert "security" in document["/label-sets/{name}"]["put"]
        assert "security" not in document["/label-sets/{name}"]["get"]
        assert "security" not in document["/classify"]["post"]
