import re
import threading
from pathlib import Path

import pytest

from tests.fakes import FakeEncoder

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = ROOT / "app" / "static"
SAMPLES = ["car", "cat", "dog", "guitar", "pizza", "rainbow"]


def named_by(path: Path) -> set[str]:
    """Returns the paths that a file of the page names, from the root."""
    text = path.read_text(encoding="utf-8")
    links = re.findall(r'(?:src|href)="(page/[^"]+)"', text)
    modules = [f"page/{name}" for name in re.findall(r'from "\./([\w.-]+)"', text)]
    return {f"/{path}" for path in links + modules}


def test_the_page_is_served_with_a_policy_that_lets_no_text_become_code(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.content == (PAGE / "index.html").read_bytes()
    policy = answer.headers["Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert "unsafe" not in policy
    assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["img-src"] == "'self' blob:"
    assert rules["require-trusted-types-for"] == "'script'"


def test_all_that_the_page_names_is_served_and_nothing_that_it_does_not(client):
    files = [path for path in PAGE.iterdir() if path.suffix in (".html", ".js")]
    named = set().union(*(named_by(path) for path in files))
    assert {f"/page/{path.name}" for path in PAGE.iterdir() if path.is_file()} <= named | {"/page/index.html"}
    assert {f"/page/samples/{name}.png" for name in SAMPLES} <= named
    assert {path: client.get(path).status_code for path in named} == dict.fromkeys(named, 200)


@pytest.mark.parametrize(
    ("path", "media_type", "file"),
    [
        ("/page/style.css", "text/css; charset=utf-8", PAGE / "style.css"),
        ("/page/main.js", "text/javascript; charset=utf-8", PAGE / "main.js"),
        ("/page/icon.svg", "image/svg+xml", PAGE / "icon.svg"),
        ("/page/samples/cat.png", "image/png", ROOT / "samples" / "cat.png"),
        ("/page/samples/README.md", "text/plain; charset=utf-8", ROOT / "samples" / "README.md"),
    ],
)
def test_each_file_comes_as_what_it_is(client, path, media_type, file):
    answer = client.get(path)
    assert answer.headers["Content-Type"] == media_type
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.content == file.read_bytes()


@pytest.mark.parametrize("path", ["/", "/page/main.js"])
def test_a_browser_asks_again_each_time_and_is_sent_only_what_is_new(client, path):
    first = client.get(path)
    assert first.headers["Cache-Control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": f"W/{first.headers['ETag']}"})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert client.get(path, headers={"If-None-Match": '"of another build"'}).content == first.content


def test_no_two_files_share_a_tag(client):
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
        "/page/style.css/",
        "/page/style.css%00",
    ],
)
def test_nothing_else_is_there(raw, path):
    status, _, problem = raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status == 404
    assert problem["error_type"] in ("not_found", "invalid_request")


def test_the_head_alone_may_be_asked_for_and_nothing_may_be_sent(client):
    assert client.head("/").headers["Content-Type"] == "text/html; charset=utf-8"
    assert client.post("/page/style.css").status_code == 405


def test_the_page_needs_no_key_and_comes_while_the_model_loads(running):
    loaded = threading.Event()
    with running(FakeEncoder(before_warm_up=loaded.wait), wait=False, api_keys="k") as client:
        assert client.get("/health/ready").status_code == 503
        assert [client.get(path).status_code for path in ("/", "/page/main.js", "/page/samples/cat.png")] == [200] * 3
        loaded.set()


def test_the_page_is_no_part_of_the_contract(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert "get" not in paths.get("/", {})
    assert not [path for path in paths if path.startswith("/page")]
