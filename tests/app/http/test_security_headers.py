import pytest

ORIGIN = "https://shop.example"


@pytest.mark.parametrize("path", ["/health/live", "/info", "/nowhere", "/classify"])
def test_every_response_has_the_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


def test_the_api_documentation_may_load_only_what_this_service_serves(client):
    policy = client.get("/docs").headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["img-src"] == "'self' data:"


def preflight(origin: str, headers: str = "authorization,content-type,x-request-timeout-ms", **more: str) -> dict:
    return {
        "method": "OPTIONS",
        "url": "/classify",
        "headers": {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": headers,
        }
        | more,
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


@pytest.mark.parametrize(
    "headers",
    [
        "authorization,content-type,user-agent",  # huggingface.js
        "authorization,content-type,user-agent,x-hf-bill-to",
        "baggage,traceparent,tracestate",  # OpenTelemetry and Sentry
        "if-match,x-api-key",
        "if-none-match",
        "x-amzn-trace-id,x-request-id,x-request-timeout-ms",
        "content-type,inference-header-content-length",  # Open Inference Protocol
    ],
)
def test_pages_of_the_configured_origins_may_send_every_header_that_is_read(running, headers):
    with running(cors_origins=ORIGIN, wait=False) as client:
        response = client.request(**preflight(ORIGIN, headers))
        assert response.status_code == 200
        assert set(headers.split(",")) <= set(response.headers["Access-Control-Allow-Headers"].lower().split(", "))
        assert client.request(**preflight(ORIGIN, "x-other")).status_code == 400


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
def test_pages_of_the_configured_origins_may_use_every_method(running, method):
    with running(cors_origins=ORIGIN, wait=False) as client:
        asked = {"Access-Control-Request-Method": method}
        assert client.request(**preflight(ORIGIN, "x-api-key", **asked)).status_code == 200
