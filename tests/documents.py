"""The fenced code blocks of a document, and the comparison of shown output with actual output."""

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

FENCED = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL
)
ANY = "..."  # in a shown response: matches any value, for example an id
# Other CPUs add in another order, so numbers differ by rounding.
RELATIVE, ABSOLUTE = 1e-3, 1e-4


class Block(NamedTuple):
    """A fenced block. `mark` is the comment directly above it, or ""."""

    line: int
    mark: str
    language: str
    content: str


def blocks(path: Path) -> list[Block]:
    """Returns the fenced blocks of a document, in order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found["mark"] or "", found["language"], found["content"])
        for found in FENCED.finditer(text)
    ]


def shows(block: Block, actual: str) -> bool:
    """Returns whether a block shows the actual output, with a tolerance for numbers.

    JSON blocks are compared as JSON, others word by word.
    """
    if block.language == "json":
        return matches(json.loads(block.content), json.loads(actual))
    shown, printed = ([number(word) for word in text.split()] for text in (block.content, actual))
    return matches(shown, printed)


def number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def matches(shown: Any, actual: Any) -> bool:
    """Returns whether two JSON values are equal within rounding. A shown "..." matches any value."""
    if shown == ANY:
        return True
    if isinstance(shown, dict) and isinstance(actual, dict):
        return list(shown) == list(actual) and all(matches(shown[key], actual[key]) for key in shown)
    if isinstance(shown, list) and isinstance(actual, list):
        return len(shown) == len(actual) and all(map(matches, shown, actual))
    if isinstance(shown, float) and isinstance(actual, float | int):
        return math.isclose(shown, actual, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(shown == actual)
