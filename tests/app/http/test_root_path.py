"""The path prefix of a proxy, and HEAD requests, over HTTP. The tests' own address is the proxy's."""

import socket

import pytest
from fastapi.routing import iter_route_contexts

from app.http.root_path import is_trusted
from app.main import create_app
from app.setting_values import network
from app.settings import Settings
from tests.app.http.wire import read_all
from tests.fakes import FakeEncoder


def server_of(client, path="/openapi.json", **headers):
    """Returns the address of the service in its contract."""
    return client.get(path, headers=headers).json().get("servers")


def test_the_service_is_at_its_root_path_whether_or_not_the_proxy_removes_it(running):
    with running(root_path="/siglip/") as client:
        for prefix in ("", "/siglip"):
            assert client.get(f"{prefix}/health/ready").status_code == 200
            assert client.get(f"{prefix}/").status_code == client.get(f"{prefix}/docs").status_code == 200
            assert client.post(f"{prefix}/classify").json()["error_type"] == "unsupported_media_type"
            assert server_of(client, f"{prefix}/openapi.json") == [{"url": "/siglip"}]
        assert client.get("/siglipx/docs").status_code == 404
        assert client.get("/siglip/siglip/docs").status_code == 404


def test_the_root_path_without_a_slash_is_the_page_and_the_api_of_the_root(running):
    with running(root_path="/siglip") as client:
        redirect = client.get("/siglip")
        assert (redirect.status_code, redirect.headers["Location"]) == (307, "/siglip/")
        assert client.post("/siglip").json()["error_type"] == "unsupported_media_type"  # Hugging Face's clients


def test_public_paths_and_log_lines_are_without_the_prefix(running):
    with running(root_path="/siglip", api_keys="k") as client:
        assert client.get("/siglip/info").status_code == 200
        assert client.get("/siglip/label-sets").status_code == 401
        assert '{method="GET",route="/info",status="200"}' in client.get("/metrics").text


@pytest.mark.parametrize(
    ("trusted", "headers", "url"),
    [
        ("127.0.0.1", {"X-Forwarded-Prefix": "/a"}, "/a"),
        ("10.0.0.0/8,127.0.0.0/8", {"X-Forwarded-Prefix": "/a/"}, "/a"),
        ("127.0.0.1", {"X-Forwarded-Prefix": "/a, /b"}, "/a/b"),
        ("127.0.0.1", {}, "/own"),
        ("127.0.0.1", {"X-Forwarded-Prefix": "//evil.example"}, "/own"),
        ("127.0.0.1", {"X-Forwarded-Prefix": "https://evil.example"}, "/own"),
        ("10.0.0.0/8", {"X-Forwarded-Prefix": "/a"}, "/own"),
        ("10.0.0.0/8", {"X-Forwarded-Prefix": "/a", "X-Forwarded-For": "10.0.0.1"}, "/own"),
        ("", {"X-Forwarded-Prefix": "/a"}, "/own"),
    ],
)
def test_only_a_trusted_proxy_may_name_another_prefix(running, trusted, headers, url):
    with running(root_path="/own", trusted_proxies=trusted, wait=False) as client:
        assert server_of(client, **headers) == [{"url": url}]


def test_without_a_prefix_the_contract_names_no_server(client):
    assert server_of(client) is None


@pytest.mark.parametrize(
    ("client_address", "expected"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("fd00::1", True), ("fe80::1", False)],
)
def test_an_address_of_ipv4_is_the_same_on_a_socket_of_ipv6(client_address, expected):
    assert is_trusted((client_address, 1), [network("10.0.0.0/8"), network("fd00::/8")]) is expected
    assert is_trusted(None, [network("0.0.0.0/0")]) is False


GET_PATHS = sorted(
    {
        route.path.replace("{name}", "pets").replace("{name:path}", "main.js")
        for route in iter_route_contexts(create_app(Settings(), FakeEncoder()).routes)
        if route.path and "GET" in (route.methods or ())
    }
)


@pytest.mark.parametrize("path", GET_PATHS)
def test_head_returns_what_get_returns_without_the_body(client, path):
    client.put("/label-sets/pets", json={"labels": ["cat"]})
    get, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    for name in ("Content-Type", "ETag"):
        assert head.headers.get(name) == get.headers.get(name)
    assert head.headers["Content-Length"]


def test_a_connection_stays_usable_after_head(client):
    head = b"HEAD /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    get = b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
        connection.sendall(head * 2 + get)
        response = read_all(connection)
    assert response.count(b"HTTP/1.1 200 OK") == response.count(b"HTTP/1.1 ") == 3
    assert response.count(b"live") == 1


def test_where_get_is_not_allowed_head_is_not_either_and_allow_names_both_where_it_is(client):
    assert client.head("/classify").status_code == 405
    assert client.head("/classify").headers["Allow"] == "POST"
    refused = client.post("/info")
    assert refused.headers["Allow"] == "GET, HEAD"
    assert refused.json()["detail"] == "This path accepts GET, HEAD."
