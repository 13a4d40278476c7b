import re
import threading
from pathlib import Path

import pytest

from tests.fakes import FakeEncoder

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = ROOT / "app" / "static"
SAMPLES = ["car", "cat", "dog", "guitar", "pizza", "rainbow"]


def referenced_by(path: Path) -> set[str]:
    """Returns the paths of the files that a file of the page refers to."""
    text = path.read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="(page/[^"]+)"', text)
    modules = [f"page/{name}" for name in re.findall(r'from "\./([\w.-]+)"', text)]
    return {f"/{path}" for path in links + modules}


def test_the_page_has_a_content_security_policy_without_inline_code(client):
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert response.content == (PAGE / "index.html").read_bytes()
    policy = response.headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert "unsafe" not in policy
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["img-src"] == "'self' blob:"
    assert rules["require-trusted-types-for"] == "'script'"


def test_exactly_the_files_that_the_page_refers_to_are_served(client):
    files = [path for path in PAGE.iterdir() if path.suffix in (".html", ".js")]
    referenced = set().union(*(referenced_by(path) for path in files))
    assert {f"/page/{path.name}" for path in PAGE.iterdir() if path.is_file()} <= referenced | {"/page/index.html"}
    assert {f"/page/samples/{name}.png" for name in SAMPLES} <= referenced
    assert {path: client.get(path).status_code for path in referenced} == dict.fromkeys(referenced, 200)


@pytest.mark.parametrize(
    ("path", "media_type", "file"),
    [
        ("/page/base.css", "text/css; charset=utf-8", PAGE / "base.css"),
        ("/page/main.js", "text/javascript; charset=utf-8", PAGE / "main.js"),
        ("/page/icon.svg", "image/svg+xml", PAGE / "icon.svg"),
        ("/page/samples/cat.png", "image/png", ROOT / "samples" / "cat.png"),
        ("/page/samples/README.md", "text/plain; charset=utf-8", ROOT / "samples" / "README.md"),
    ],
)
def test_each_file_has_its_media_type(client, path, media_type, file):
    response = client.get(path)
    assert response.headers["Content-Type"] == media_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.content == file.read_bytes()


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_a_browser_revalidates_each_time_and_gets_304_for_an_unchanged_file(client, path):
    first = client.get(path)
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": f"W/{first.headers['ETag']}"})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(path, headers={"If-None-Match": '"of another build"'}).content == first.content


def test_the_api_documentation_is_complete_without_internet(client):
    page = client.get("/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"docs/swagger-ui.css", "docs/swagger-ui-bundle.js", "docs/main.js"} <= set(sources)
    for source in sources:
        found = client.get(f"/{source}")  # relative to /docs
        assert found.status_code == 200
        assert found.headers["ETag"]
    assert "<script>" not in page
    assert client.get("/docs/").status_code == client.get("/docs/index.html").status_code == 404
    assert client.get("/docs/__init__.py").status_code == 404


def test_each_file_has_a_different_etag(client):
    paths = ["/", *(f"/page/{path.name}" for path in PAGE.glob("*.js"))]
    assert len({client.get(path).headers["ETag"] for path in paths}) == len(paths)


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/index.html",
        "/page/samples",
        "/page/samples/",
        "/page/main.py",
        "/page/../main.py",
        "/page/../../README.md",
        "/page/%2e%2e/%2e%2e/README.md",
        "/page/..%2fmain.py",
        "/page/samples/../../../../etc/passwd",
        "/page//etc/passwd",
        "/page/base.css/",
        "/page/base.css%00",
    ],
)
def test_any_other_path_is_404(raw, path):
    status, _, problem = raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status == 404
    assert problem["error_type"] in ("not_found", "invalid_request")


def test_head_is_allowed_and_post_is_not(client):
    assert client.head("/").headers["Content-Type"] == "text/html; charset=utf-8"
    assert client.post("/page/base.css").status_code == 405


def test_the_page_needs_no_api_key_and_is_served_while_the_model_loads(running):
    loaded = threading.Event()
    with running(FakeEncoder(before_warm_up=loaded.wait), wait=False, api_keys="k") as client:
        assert client.get("/health/ready").status_code == 503
        assert [client.get(path).status_code for path in ("/", "/page/main.js", "/page/samples/cat.png")] == [200] * 3
        loaded.set()


def test_the_page_is_not_in_openapi(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert "get" not in paths.get("/", {})
    assert not [path for path in paths if path.startswith("/page")]
