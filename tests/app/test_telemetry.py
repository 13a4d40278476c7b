import io
import json
import logging
import sys

import pytest

from app.telemetry import JSONFormatter, TextFormatter, configure_logging
from tests.app.pictures import encoded, picture


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Request-Id": "abc-1.2_3"}, "abc-1.2_3"),
        ({"X-Amzn-Trace-Id": "Root=1-67891233-abc"}, "Root=1-67891233-abc"),
        ({"X-Request-Id": "mine", "X-Amzn-Trace-Id": "theirs"}, "mine"),
        ({"X-Request-Id": "two words", "X-Amzn-Trace-Id": "theirs"}, "theirs"),
    ],
)
def test_the_callers_valid_request_id_is_kept(client, headers, expected):
    assert client.get("/health/live", headers=headers).headers["X-Request-Id"] == expected


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a/b", "é"])
def test_an_invalid_request_id_is_replaced(client, given):
    answer = client.get("/health/live", headers={"X-Request-Id": given.encode("latin-1")})
    assert answer.headers["X-Request-Id"] not in ("", given)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/info"), ("GET", "/nowhere"), ("PUT", "/info"), ("POST", "/classify")]
)
def test_every_answer_has_an_id_and_its_timing(client, method, path):
    answer = client.request(method, path)
    assert len(answer.headers["X-Request-Id"]) == 32
    assert answer.headers["Server-Timing"].startswith("total;dur=")


def request_lines(caplog: pytest.LogCaptureFixture) -> list[dict]:
    return [record.facts for record in caplog.records if record.message == "request"]


def test_a_request_is_one_line_with_sizes_and_no_content(client, caplog):
    with caplog.at_level(logging.INFO, "app"):
        client.post(
            "/classify", params={"labels": "sesame"}, content=encoded(picture()), headers={"Content-Type": "image/png"}
        )
        client.get("/health/live")  # the line of an answer may come after it, but not after the next one's
    line = request_lines(caplog)[0]
    assert {"request_id", "decode_ms", "queue_ms", "image_ms", "text_ms", "total_ms"} < set(line)
    expected = {"method": "POST", "path": "/classify", "status": 200, "labels": 1, "image": "24x24", "format": "PNG"}
    assert {name: line[name] for name in expected} == expected
    assert "sesame" not in str(line)


def test_a_refused_request_is_one_line_with_its_code(client, caplog):
    with caplog.at_level(logging.INFO, "app"):
        client.post("/classify", content=b"sesame", headers={"Content-Type": "text/plain"})
        client.get("/health/live")
    line = request_lines(caplog)[0]
    assert (line["status"], line["error_type"]) == (415, "unsupported_media_type")


def record(**facts: object) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, "", 0, "request", None, None)
    made.facts = facts
    return made


def test_a_text_line_stays_one_line_whatever_the_client_sent():
    line = TextFormatter("%(message)s").format(record(path="/a\nforged line", status=404))
    assert line == r'request path="/a\nforged line" status=404'


def test_a_json_line_is_one_object_with_its_facts():
    line = JSONFormatter().format(record(path="/a\nb", status=404))
    assert "\n" not in line
    assert json.loads(line)["path"] == "/a\nb"
    assert json.loads(line)["level"] == "INFO"


def test_a_json_line_holds_its_traceback():
    made = record()
    try:
        1 // 0  # noqa: B018 (for what it raises)
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    line = JSONFormatter().format(made)
    assert "\n" not in line
    assert "ZeroDivisionError" in json.loads(line)["traceback"]


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "expected"),
    [
        (None, True, TextFormatter),
        (None, False, JSONFormatter),
        ("text", False, TextFormatter),
        ("json", True, JSONFormatter),
    ],
)
def test_a_terminal_gets_text_and_a_collector_json_unless_told_otherwise(
    monkeypatch, log_format, is_terminal, expected
):
    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return is_terminal

    root = logging.getLogger()
    monkeypatch.setattr(sys, "stderr", Stream())
    monkeypatch.setattr(root, "handlers", [])
    configure_logging(log_format)
    assert [type(handler.formatter) for handler in root.handlers] == [expected]
