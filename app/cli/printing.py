"""How results are printed: a table for people, JSON and CSV for programs; each image as soon as it is scored."""

import csv
import json
from collections.abc import Callable
from io import StringIO
from typing import NamedTuple

from app.inference.embeddings import ScoredEmbedding
from app.observability.logs import printable
from app.schemas import ScoredImage

Scored = ScoredImage | ScoredEmbedding


class OutputFormat(NamedTuple):
    """A header, and a function that formats one image, or one embedding."""

    header: str
    rows: Callable[[str, Scored], str]


def table_rows(path: str, scored: Scored) -> str:
    """Returns the path, and a line per label. The numbers come first, since labels have any length and width."""
    lines = [f"{score.sigmoid:8.4f} {score.softmax:8.4f}  {printable(score.label)}" for score in scored.scores]
    return "\n".join([printable(path), *(lines or ["                   no label reaches the threshold"])]) + "\n"


def json_line(path: str, scored: Scored) -> str:
    """Returns one line: the service's result, with the image's path."""
    return json.dumps({"path": path, **scored.model_dump()}, ensure_ascii=False) + "\n"


def csv_rows(path: str, scored: Scored) -> str:
    """Returns a line per label."""
    written = StringIO()
    rows = ((path, score.label, score.logit, score.sigmoid, score.softmax) for score in scored.scores)
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


TABLE = OutputFormat(" sigmoid  softmax  label\n", table_rows)
JSON = OutputFormat("", json_line)
CSV = OutputFormat("path,label,logit,sigmoid,softmax\n", csv_rows)
