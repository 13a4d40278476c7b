import json
import logging
import os
import re
import subprocess
import sys

import pytest

from app.observability.logs import JSONFormatter, TextFormatter

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
    [("", True, "text"), ("", False, "json"), ("text", False, "text"), ("json", True, "json")],
)
def test_the_default_log_format_is_text_on_a_terminal_and_json_elsewhere(log_format, is_terminal, expected):
    reading, writing = os.openpty() if is_terminal else os.pipe()
    logged(writing, f"configure_logging({log_format!r} or None); logging.getLogger('app').info('hello')")
    line = os.read(reading, 1000).decode()
    os.close(reading)
    assert line.startswith("{") is (expected == "json")
    assert "hello" in line


def logged(stderr: int, code: str, **options) -> subprocess.CompletedProcess[bytes]:
    """Runs code in a process that logs to this file, which is closed here afterwards."""
    start = "import logging\nfrom app.observability.logs import configure_logging, dropped_lines\n"
    done = subprocess.run(
        [sys.executable, "-c", start + code], stdout=subprocess.PIPE, stderr=stderr, check=False, timeout=120, **options
    )
    os.close(stderr)
    return done


MANY = """
configure_logging("text")
for number in range(30_000):
    logging.getLogger("app").info("line %d", number)
"""


def test_every_line_is_written_in_order_before_the_process_ends(tmp_path):
    with (tmp_path / "log").open("wb") as file:
        logged(os.dup(file.fileno()), MANY.replace("30_000", "5_000") + "import atexit; raise SystemExit(3)")
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == [str(number) for number in range(5_000)]


def test_a_reader_that_reads_nothing_stops_neither_the_process_nor_its_end():
    reading, writing = os.pipe()
    done = logged(writing, MANY + "print(dropped_lines())")
    os.close(reading)
    assert done.returncode == 0
    assert 15_000 < int(done.stdout) < 30_000  # the others wait, or are in the pipe


def test_a_reader_that_has_gone_does_not_stop_the_process():
    reading, writing = os.pipe()
    os.close(reading)
    done = logged(writing, MANY + "logging.shutdown(); print(dropped_lines())")
    assert (done.returncode, done.stdout) == (0, b"30000\n")


def reported(content: bytes) -> list[int]:
    """Returns how many lines were dropped, by each warning."""
    return [int(n) for n in re.findall(rb"WARNING (\d+) log lines were dropped: the log was not", content)]


def test_after_a_pause_of_the_reader_the_log_says_how_many_lines_were_dropped():
    reading, writing = os.pipe()
    script = (
        MANY + "print(dropped_lines(), flush=True)\nimport sys; sys.stdin.read()\nlogging.getLogger('app').info('end')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", "import logging\nfrom app.observability.logs import *\n" + script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writing,
    ) as process:
        os.close(writing)
        assert process.stdin
        assert process.stdout
        dropped = int(process.stdout.readline())
        content = b""
        while sum(reported(content)) < dropped:
            content += os.read(reading, 65_536)
        process.stdin.close()
        content += b"".join(iter(lambda: os.read(reading, 65_536), b""))
    os.close(reading)
    lines = content.decode().splitlines()
    # On a busy machine, lines may be dropped and reported once before the pause.
    assert sum(reported(content)) == dropped
    assert len(lines) == 30_000 - dropped + len(reported(content)) + 1
    assert lines[-1].endswith("INFO end")
