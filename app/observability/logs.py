"""Log formats, and the thread that writes. Text from a client cannot add lines, or send controls to a terminal."""

import json
import logging
import os
import queue
import select
import sys
import threading
from datetime import UTC, datetime
from typing import Any, Literal

MAX_LINES = 10_000  # that wait to be written
FLUSH_S = 1.0  # at the end of the process, how long to wait for a reader that reads nothing


class TextFormatter(logging.Formatter):
    """One line for people: the message, then the facts. A traceback follows, indented, so it cannot look like a record.

    | from a client | shown as     |
    |---------------|--------------|
    | `a`, newline  | `"a\\n"`     |
    | escape `[31m` | `"\\u001b[31m"` |
    """

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        facts = getattr(record, "facts", {})
        parts = [self.formatTime(record), record.levelname, printable(record.message)]
        lines = [" ".join(parts + [f"{name}={quoted(value)}" for name, value in facts.items()])]
        if record.exc_info:
            lines += [f"    {printable(line)}" for line in self.formatException(record.exc_info).split("\n")]
        return "\n".join(lines)


class JSONFormatter(logging.Formatter):
    """One JSON object per line. The time is UTC, to the millisecond."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time.replace("+00:00", "Z"), "level": record.levelname, "message": record.getMessage()}
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return quoted(line)


def quoted(value: Any) -> str:
    """Returns JSON in printable ASCII. `json` escapes all other control characters, but not DEL."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def printable(text: str) -> str:
    """Returns the text with control characters, such as escapes and line ends, as backslash escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class QueuedHandler(logging.Handler):
    """Writes log lines in a thread, so a log reader that stops reading does not stop the service.

    If too many lines wait, or a line cannot be written, it is dropped and counted. The next line that is written is
    followed by one that says how many were dropped.

    Args:
        descriptor: The file to write to. It is written without Python's buffers, whose locks would block the exit.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._refused = self._failed = self._reported = 0  # each is changed by one thread at a time
        self._descriptor = descriptor
        self._lines: queue.Queue[str] = queue.Queue(MAX_LINES)
        threading.Thread(target=self._write_lines, name="log", daemon=True).start()

    @property
    def dropped(self) -> int:
        """How many lines were dropped."""
        return self._refused + self._failed

    def emit(self, record: logging.LogRecord) -> None:
        """Queues a line, or drops it."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._refused += 1

    def flush(self) -> None:
        """Waits until all lines are written, at most `FLUSH_S`."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, FLUSH_S)

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            if self._write(line) and (dropped := self.dropped) > self._reported:
                message = f"{dropped - self._reported} log lines were dropped: the log was not read fast enough"
                if self._write(self.format(logging.LogRecord("app", logging.WARNING, "", 0, message, None, None))):
                    self._reported = dropped
            self._lines.task_done()

    def _write(self, line: str) -> bool:
        left = f"{line}\n".encode()
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # another process has made the file non-blocking
                select.select([], [self._descriptor], [])
            except OSError:  # nobody reads any more, or the disk is full
                self._failed += 1
                return False
        return True


def dropped_lines() -> int:
    """Returns how many log lines of this process were dropped."""
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, QueuedHandler))


def configure_logging(log_format: Literal["text", "json"] | None) -> None:
    """Sends all log records of the process to stderr. None means text on a terminal, else JSON."""
    output = QueuedHandler(sys.stderr.fileno())
    as_text = log_format == "text" or (log_format is None and sys.stderr.isatty())
    output.setFormatter(TextFormatter() if as_text else JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[output], force=True)
    # huggingface_hub's HTTP client logs every request at INFO, with the signed URLs of its storage.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
