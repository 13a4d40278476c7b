"""How results are written: a table for people, JSON and CSV for programs; each image's part as soon as it is there."""

import csv
import json
from collections.abc import Callable
from io import StringIO
from typing import NamedTuple

from app.schemas import ScoredImage


class OutputFormat(NamedTuple):
    """One way to write: what comes first, and what is written of each image."""

    header: str
    rows: Callable[[str, ScoredImage], str]


def printable(text: str) -> str:
    """Returns the text with what a terminal would obey, such as an escape or the end of a line, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def table_rows(path: str, scored: ScoredImage) -> str:
    """Returns the path, and below it a line a label. Numbers come first, for labels are of any length and width."""
    lines = [f"{score.sigmoid:8.4f} {score.softmax:8.4f}  {printable(score.label)}" for score in scored.scores]
    return "\n".join([printable(path), *(lines or ["                   no label reaches the threshold"])]) + "\n"


def json_line(path: str, scored: ScoredImage) -> str:
    """Returns one line, what the service answers for an image, with its path."""
    return json.dumps({"path": path, **scored.model_dump()}, ensure_ascii=False) + "\n"


def csv_rows(path: str, scored: ScoredImage) -> str:
    """Returns a line a label."""
    written = StringIO()
    rows = ((path, score.label, score.logit, score.sigmoid, score.softmax) for score in scored.scores)
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


TABLE = OutputFormat(" sigmoid  softmax  label\n", table_rows)
JSON = OutputFormat("", json_line)
CSV = OutputFormat("path,label,logit,sigmoid,softmax\n", csv_rows)
