"""Reads the boxes of a file in the ISO base media file format, which HEIF, AVIF and JPEG XL use (ISO/IEC 14496-12)."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from app.errors import ImageTooExpensive

MAX_BOXES = 5_000  # inside one box; a photo of 48 megapixels has about 100 images


class Box(NamedTuple):
    """A box: its kind, its content, where the content begins in the file, and whether all of it is there."""

    kind: bytes
    body: memoryview
    position: int
    complete: bool = True


def boxes(data: memoryview, position: int = 0) -> Iterator[Box]:
    """Yields the boxes of a file or of a box. One that extends past the end is cut off there.

    Raises:
        ImageTooExpensive: There are more than `MAX_BOXES`.
    """
    start = count = 0
    while start + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1:  # a 64-bit size follows
            size, head = struct.unpack_from(">Q", data, start + 8)[0], 16
        elif size == 0:  # to the end
            size = len(data) - start
        if size < head:
            return
        count += 1
        if count > MAX_BOXES:
            raise ImageTooExpensive("The image file consists of too many parts. Save it as one image.")
        yield Box(kind, data[start + head : start + size], position + start + head, start + size <= len(data))
        start += size


def find_box(box: Box, *path: bytes) -> Box | None:
    """Returns the first box along a path of kinds, or None."""
    for kind in path:
        inside = boxes(box.body[4:], box.position + 4) if box.kind == b"meta" else boxes(box.body, box.position)
        found = next((inner for inner in inside if inner.kind == kind), None)
        if found is None:
            return None
        box = found
    return box


def find_property(properties: list[Box], kind: bytes) -> memoryview | None:
    """Returns the content of the first property of a kind, or None."""
    return next((box.body for box in properties if box.kind == kind), None)
