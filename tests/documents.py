"""What a document says: its fenced blocks, and whether what came is what it shows."""

import json
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

FENCED = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]+) -->\n)?^```(?P<language>\w*)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL
)
ANY = "..."  # in an answer: whatever comes, such as an id
# Another processor adds in another order.
RELATIVE, ABSOLUTE = 1e-3, 1e-4


class Block(NamedTuple):
    """A fenced block; `mark` is the comment directly above it, or ""."""

    line: int
    mark: str
    language: str
    content: str


def blocks(path: Path) -> list[Block]:
    """Returns the blocks of a document in their order."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(text.count("\n", 0, found.start()) + 1, found["mark"] or "", found["language"], found["content"])
        for found in FENCED.finditer(text)
    ]


def same(block: Block, came: str) -> bool:
    """Returns whether a block shows what came: as JSON, else word by word; numbers as near as computing them is."""
    if block.language == "json":
        return alike(json.loads(block.content), json.loads(came))
    shown, found = ([number(word) for word in text.split()] for text in (block.content, came))
    return alike(shown, found)


def number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def alike(shown: Any, came: Any) -> bool:
    """Returns whether two JSON values are the same but for roundings and for what is shown as "..."."""
    if shown == ANY:
        return True
    if isinstance(shown, dict) and isinstance(came, dict):
        return list(shown) == list(came) and all(alike(shown[key], came[key]) for key in shown)
    if isinstance(shown, list) and isinstance(came, list):
        return len(shown) == len(came) and all(map(alike, shown, came))
    if isinstance(shown, float) and isinstance(came, float | int):
        return math.isclose(shown, came, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    return bool(shown == came)
