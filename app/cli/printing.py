"""How results are printed: a table for people, JSON and CSV for programs; each image as soon as it is scored."""

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import NamedTuple

from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.inference.acceptance import TunedImage
from app.inference.embeddings import ScoredEmbedding, TunedEmbedding
from app.observability.logs import printable
from app.schemas import ResponseWarning, ScoredImage

Scored = ScoredImage | ScoredEmbedding
Tuned = TunedImage | TunedEmbedding

ACCEPTED = {True: "yes", False: "no", None: "-"}
NOTHING_SHOWN = "no label reaches the threshold"
NONE_ACCEPTED = "none of these"


class OutputFormat(NamedTuple):
    """A header, and a function that formats one image, or one embedding; and both for what is accepted."""

    header: str
    rows: Callable[[str, Scored], str]
    tuned_header: str
    tuned_rows: Callable[[str, Tuned], str]

    def text(self, path: str, scored: Scored, *, is_first: bool) -> str:
        """Returns the rows of one image, and before the first one the header."""
        if isinstance(scored, Tuned):
            return self.tuned_header * is_first + self.tuned_rows(path, scored)
        return self.header * is_first + self.rows(path, scored)


def table_rows(path: str, scored: Scored) -> str:
    """Returns the path, and a line per label. The numbers come first, since labels have any length and width."""
    lines = [f"{score.sigmoid:8.4f} {score.softmax:8.4f}  {printable(score.label)}" for score in scored.scores]
    return "\n".join([printable(path), *(lines or [f"{'':19}{NOTHING_SHOWN}"])]) + "\n"


def tuned_table_rows(path: str, scored: Tuned) -> str:
    """Returns the path, and a line per label with its probability and whether it is accepted, or - for neither.

    Accepted labels that `--top-k` or `--threshold` cuts follow without their numbers.
    """

    def line(accepted: str, label: str, numbers: str = "", probability: str = "") -> str:
        return f"{numbers:17}  {probability:>11}  {accepted:8}  {printable(label)}"

    def lines() -> Iterator[str]:
        if scored.accepted_labels == []:
            yield line("", NONE_ACCEPTED)
        for score in scored.scores:
            numbers = f"{score.sigmoid:8.4f} {score.softmax:8.4f}"
            probability = "-" if score.probability is None else f"{score.probability:.4f}"
            yield line(ACCEPTED[score.accepted], score.label, numbers, probability)
        # Both lists are sorted by logit, so the accepted ones that are shown are the first ones.
        num_shown = sum(score.accepted is True for score in scored.scores)
        for cut in (scored.accepted_labels or [])[num_shown:]:
            yield line(ACCEPTED[True], cut.label)
        if not scored.scores and scored.accepted_labels is None:
            yield line("", NOTHING_SHOWN)

    return "\n".join([printable(path), *lines()]) + "\n"


def json_line(path: str, scored: Scored) -> str:
    """Returns one line: the service's result, with the image's path."""
    return json.dumps({"path": path, **scored.model_dump()}, ensure_ascii=False) + "\n"


def csv_rows(path: str, scored: Scored) -> str:
    """Returns a line per label."""
    return csv_text((path, score.label, score.logit, score.sigmoid, score.softmax) for score in scored.scores)


def tuned_csv_rows(path: str, scored: Tuned) -> str:
    """Returns a line per label. What a JSON response has as null, or leaves out, is empty."""
    names = None
    if scored.accepted_labels is not None:
        names = json.dumps([accepted.label for accepted in scored.accepted_labels], ensure_ascii=False)
    words = {True: "true", False: "false", None: None}
    return csv_text(
        (path, score.label, score.logit, score.sigmoid, score.softmax, words[score.accepted], score.probability, names)
        for score in scored.scores
    )


def csv_text(rows: Iterable[tuple[object, ...]]) -> str:
    """Returns rows as CSV; None is an empty cell."""
    written = StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    return written.getvalue()


NUMBERS, COLUMNS = " sigmoid  softmax", "path,label,logit,sigmoid,softmax"
TABLE = OutputFormat(f"{NUMBERS}  label\n", table_rows, f"{NUMBERS}  probability  accepted  label\n", tuned_table_rows)
JSON = OutputFormat("", json_line, "", json_line)
CSV = OutputFormat(f"{COLUMNS}\n", csv_rows, f"{COLUMNS},accepted,probability,accepted_labels\n", tuned_csv_rows)


def warning_line(warning: ResponseWarning) -> str:
    """Returns a warning for people. The message names the labels that it is about."""
    return f"warning: {printable(warning.message)}"


def print_warnings(warnings: Iterable[ResponseWarning]) -> None:
    """Prints warnings on stderr, above a progress bar."""
    for warning in warnings:
        tqdm.write(warning_line(warning), file=sys.stderr)
