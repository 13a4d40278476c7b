import io
import json
import logging
import re
import sys

import pytest

from app.observability.logs import JSONFormatter, TextFormatter, configure_logging

HOSTILE = "a\nERROR forged\r\x00\x1b[31m\x7f\x9b\u2028\u202e\ud800z"
VISIBLE_ASCII = re.compile(r"[\x20-\x7e]+")


def record(message: str = "request", **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, "", 0, message, None, None)
    made.created, made.msecs = 1_700_000_000.25, 250
    made.facts = facts
    return made


def fail(message: str) -> None:
    raise ValueError(message)


def failed(message: str) -> logging.LogRecord:
    made = record()
    try:
        fail(message)
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_text_line_is_time_level_message_and_facts():
    line = TextFormatter().format(record(path="/a\nforged line", status=404))
    assert re.fullmatch(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,250 INFO request path="/a\\nforged line" status=404', line)


def test_a_json_line_is_one_object_with_its_facts_and_a_sortable_time():
    line = JSONFormatter().format(record(path="/a\nb", status=404))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "INFO",
        "message": "request",
        "path": "/a\nb",
        "status": 404,
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JSONFormatter()])
def test_hostile_text_is_logged_as_one_line_of_visible_ascii(formatter):
    assert VISIBLE_ASCII.fullmatch(formatter.format(record(path=HOSTILE)))
    assert VISIBLE_ASCII.fullmatch(formatter.format(record(message=HOSTILE)))


def test_a_json_line_can_be_parsed_to_the_original_text():
    assert json.loads(JSONFormatter().format(record(path=HOSTILE)))["path"] == HOSTILE


def test_a_json_line_contains_its_traceback():
    line = JSONFormatter().format(failed(HOSTILE))
    assert VISIBLE_ASCII.fullmatch(line)
    assert "ValueError" in json.loads(line)["traceback"]


def test_no_line_of_a_traceback_looks_like_a_log_line():
    first, *rest = TextFormatter().format(failed(HOSTILE)).split("\n")
    assert first.endswith("INFO request")
    assert [line for line in rest if line.startswith("    ERROR forged")]
    assert [line for line in rest if not (line.startswith("    ") and line.isprintable())] == []


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "expected"),
    [
        (None, True, TextFormatter),
        (None, False, JSONFormatter),
        ("text", False, TextFormatter),
        ("json", True, JSONFormatter),
    ],
)
def test_the_default_log_format_is_text_on_a_terminal_and_json_elsewhere(
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
