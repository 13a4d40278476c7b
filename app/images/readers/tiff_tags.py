"""Reads the tags of TIFF and BigTIFF pages. Nothing is decoded here."""

import struct
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidImage
from app.images.raster import MAX_FRAMES

MAX_TAGS = 4_096  # per page

# TIFF's types of values that are numbers -> NumPy's.
TYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8"}


class Entry(NamedTuple):
    """A tag's values in the file: NumPy type, number and position."""

    dtype: str
    number: int
    position: int


class Tags:
    """The tags of one page whose values are numbers. Of a tag that occurs twice, the first counts."""

    def __init__(self, data: bytes, position: int) -> None:
        """Finds the tags of the page at this position.

        Raises:
            InvalidImage: The page has more than `MAX_TAGS` tags.
        """
        self.data = data
        self.order, self.big = ("<" if data[:1] == b"I" else ">"), b"+" in data[2:4]
        self.count, start = read_count(data, position)
        integer, entry_format, entry_bytes = ("Q", "HHQ", 20) if self.big else ("I", "HHI", 12)
        inside = struct.calcsize(integer)
        self.entries: dict[int, Entry] = {}
        for entry in range(start, start + self.count * entry_bytes, entry_bytes):
            tag, kind, count = struct.unpack_from(self.order + entry_format, data, entry)
            at = entry + entry_bytes - inside
            if kind not in TYPES or not count or tag in self.entries:
                continue
            if count * int(TYPES[kind][1]) > inside:
                (at,) = struct.unpack_from(self.order + integer, data, at)
            self.entries[tag] = Entry(self.order + TYPES[kind], count, at)

    def values(self, tag: int, most: int | None = None) -> NDArray[np.generic]:
        """Returns the values of a tag, at most this many, or an empty array if the page lacks it.

        Raises:
            InvalidImage: The values are outside the file.
        """
        entry = self.entries.get(tag)
        if entry is None:
            return np.empty(0, np.uint8)
        number = entry.number if most is None else min(entry.number, most)
        if entry.position + number * int(entry.dtype[2]) > len(self.data):
            raise InvalidImage(f"The TIFF is truncated or damaged: the values of its tag {tag} are outside the file.")
        return np.frombuffer(self.data, entry.dtype, number, entry.position)

    def integers(self, tag: int, most: int | None = None) -> tuple[int, ...]:
        """Returns a tag's values as integers."""
        return tuple(map(int, self.values(tag, most)))

    def integer(self, tag: int, default: int) -> int:
        """Returns a tag's first value as an integer."""
        return next(iter(self.integers(tag, 1)), default)


def read_count(data: bytes, position: int) -> tuple[int, int]:
    """Returns the number of tags of the page at this position, and the position of its first tag."""
    count_format = ("<" if data[:1] == b"I" else ">") + ("Q" if b"+" in data[2:4] else "H")
    (count,) = struct.unpack_from(count_format, data, position)
    if count > MAX_TAGS:
        raise InvalidImage(f"The TIFF has a page with more than {MAX_TAGS:,} tags. Save it again.")
    return count, position + struct.calcsize(count_format)


def find_pages(data: bytes) -> list[int]:
    """Returns the positions of the pages' tags, for up to `MAX_FRAMES` + 1 pages.

    Raises:
        InvalidImage: The file ends before its first page, or a page has more than `MAX_TAGS` tags.
    """
    order, big = "<" if data[:1] == b"I" else ">", b"+" in data[2:4]
    integer, entry_bytes = ("Q", 20) if big else ("I", 12)
    pages: dict[int, None] = {}
    (page,) = struct.unpack_from(order + integer, data, 8 if big else 4)
    while page not in pages and len(pages) <= MAX_FRAMES and (0 < page < len(data) or not pages):
        count, start = read_count(data, page)
        pages[page] = None
        with suppress(struct.error):  # truncated; the decoder finds out whether the page is complete
            (page,) = struct.unpack_from(order + integer, data, start + count * entry_bytes)
    return list(pages)
