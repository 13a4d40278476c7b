import pytest

ORIGIN = "https://shop.example"


@pytest.mark.parametrize("path", ["/health/live", "/info", "/nowhere", "/classify"])
def test_every_response_has_the_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_the_docs_page_may_load_only_what_it_needs(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]
    page = client.get("/docs").text
    assert "default-src 'none'" in policy
    for host in ("https://cdn.jsdelivr.net", "https://fastapi.tiangolo.com"):
        assert host in policy
        assert host in page


def preflight(origin: str) -> dict:
    return {
        "method": "OPTIONS",
        "url": "/classify",
        "headers": {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-request-timeout-ms",
        },
    }


def test_without_cors_origins_pages_of_other_origins_may_not_call(client):
    response = client.request(**preflight(ORIGIN))
    assert response.status_code == 405
    assert "Access-Control-Allow-Origin" not in response.headers
    assert "Access-Control-Allow-Origin" not in client.get("/info", headers={"Origin": ORIGIN}).headers


def test_pages_of_the_configured_origins_may_call_and_read_errors(running):
    with running(cors_origins=f"{ORIGIN}, https://two.example", api_keys="k") as client:
        response = client.request(**preflight(ORIGIN))
        assert response.status_code == 200  # a preflight carries no key
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert client.request(**preflight("https://evil.example")).status_code == 400
        refused = client.post("/classify", headers={"Origin": ORIGIN})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "X-Request-Id" in refused.headers["Access-Control-Expose-Headers"]
