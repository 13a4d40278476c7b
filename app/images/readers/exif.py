"""Reads the orientation from EXIF and XMP. Damaged metadata means an upright image: it never costs the image."""

import re
import struct
from collections.abc import Iterable

ORIENTATION = 274
INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I"}  # TIFF's types of unsigned integers: byte, short, long, offset
MAX_VALUES = 64  # per tag; nothing that is read here has more

XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([1-8])\s*[\"'<]")


def read_orientation(exifs: Iterable[bytes], xmp: bytes = b"") -> int:
    """Returns the orientation, 1 to 8, that the first usable EXIF block or else the XMP gives; otherwise 1 (upright).

    Args:
        exifs: EXIF blocks: TIFF files, with or without "Exif" before them.
        xmp: XMP, or no bytes.
    """
    for exif in exifs:
        orientation = exif_orientation(exif)
        if 1 <= orientation <= 8:
            return orientation
    match = XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else 1


def exif_orientation(exif: bytes) -> int:
    """Returns the value of the orientation tag, or 0 if it is missing or the block is damaged."""
    if exif.startswith(b"Exif\0"):
        exif = exif[6:]
    if not re.match(rb"II\*\0....|MM\0\*....", exif, re.DOTALL):
        return 0
    order = "<" if exif[:1] == b"I" else ">"
    (offset,) = struct.unpack_from(order + "I", exif, 4)
    values = read_tags(exif, order, offset).get(ORIENTATION, ())
    return values[0] if len(values) == 1 else 0


def read_tags(data: bytes, order: str, offset: int) -> dict[int, tuple[int, ...]]:
    """Returns the integer tags of a TIFF directory. Tags that lie outside the data are left out.

    Args:
        data: A TIFF file.
        order: "<" (little-endian) or ">".
        offset: Where the directory begins.
    """
    if not 8 <= offset <= len(data) - 2:
        return {}
    (count,) = struct.unpack_from(order + "H", data, offset)
    tags: dict[int, tuple[int, ...]] = {}
    for entry in range(offset + 2, min(offset + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, values = struct.unpack_from(order + "HHI", data, entry)
        if kind not in INTEGERS or not 0 < values <= MAX_VALUES or tag in tags:
            continue
        layout = f"{order}{values}{INTEGERS[kind]}"
        position = entry + 8
        if struct.calcsize(layout) > 4:
            (position,) = struct.unpack_from(order + "I", data, position)
        if position + struct.calcsize(layout) <= len(data):
            tags[tag] = struct.unpack_from(layout, data, position)
    return tags
