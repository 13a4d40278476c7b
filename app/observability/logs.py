"""Log formats. Text from a client cannot add log lines, or send control characters to a terminal."""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal


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


def configure_logging(log_format: Literal["text", "json"] | None) -> None:
    """Sends all log records of the process to stderr. None means text on a terminal, else JSON."""
    output = logging.StreamHandler()
    as_text = log_format == "text" or (log_format is None and output.stream.isatty())
    output.setFormatter(TextFormatter() if as_text else JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[output], force=True)
    # huggingface_hub's HTTP client logs every request at INFO, with the signed URLs of its storage.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
