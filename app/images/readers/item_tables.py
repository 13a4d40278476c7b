"""Reads the tables of a HEIF or AVIF file: its items, their properties, their references and their places.

Source: ISO/IEC 14496-12 and ISO/IEC 23008-12. All functions take the box of the kind `meta`.
"""

import struct
from typing import NamedTuple

from app.errors import ImageTooExpensive
from app.images.readers.boxes import Box, boxes, find_box

MAX_TABLE_BYTES = 500_000  # of one table


class Item(NamedTuple):
    """An image or metadata. `kind_position` is where the file says which kind of item it is."""

    kind: bytes
    hidden: bool
    kind_position: int


def table(box: Box | None) -> memoryview:
    """Returns the content of a table of items, with version 0 and no entries if it is missing."""
    if box is None:
        return memoryview(bytes(8))
    if len(box.body) > MAX_TABLE_BYTES:
        raise ImageTooExpensive("The image file consists of too many parts. Save it as one image.")
    return box.body


def read_items(meta: Box) -> dict[int, Item]:
    """Returns the items of a file by identifier, in the order of the file."""
    iinf = find_box(meta, b"iinf")
    body = table(iinf)
    start = 8 if body[0] else 6
    items = {}
    for entry in boxes(body[start:], iinf.position + start if iinf else 0):
        if entry.kind == b"infe" and entry.body[0] >= 2:
            layout = ">H2x4s" if entry.body[0] == 2 else ">I2x4s"
            number, kind = struct.unpack_from(layout, entry.body, 4)
            items[number] = Item(kind, bool(entry.body[3] & 1), entry.position + struct.calcsize(layout))
    return items


def read_properties(meta: Box) -> dict[int, list[Box]]:
    """Returns the properties of each item. Items often share properties."""
    iprp = find_box(meta, b"iprp")
    ipco = iprp and find_box(iprp, b"ipco")
    known = list(boxes(ipco.body, ipco.position)) if ipco else []
    body = table(iprp and find_box(iprp, b"ipma"))
    wide_item, wide_index = body[0] > 0, body[3] & 1
    (count,), position = struct.unpack_from(">I", body, 4), 8
    found: dict[int, list[Box]] = {}
    for _ in range(count):
        number, links = struct.unpack_from(">IB" if wide_item else ">HB", body, position)
        position += 5 if wide_item else 3
        indices = struct.unpack_from(f">{links}{'H' if wide_index else 'B'}", body, position)
        position += links * (2 if wide_index else 1)
        numbers = [index & (0x7FFF if wide_index else 0x7F) for index in indices]  # without the essential bit
        found.setdefault(number, []).extend(known[index - 1] for index in numbers if 0 < index <= len(known))
    return found


def read_references(meta: Box) -> list[tuple[bytes, int, tuple[int, ...]]]:
    """Returns the kind, the source and the targets of each reference between items."""
    iref = find_box(meta, b"iref")
    body = table(iref)
    letter, width = ("I", 4) if body[0] else ("H", 2)
    found = []
    for reference in boxes(body[4:]) if iref else ():
        source, count = struct.unpack_from(f">{letter}H", reference.body)
        found.append((reference.kind, source, struct.unpack_from(f">{count}{letter}", reference.body, width + 2)))
    return found


def read_ends(meta: Box) -> dict[int, int]:
    """Returns where the data of each item end in the file. Data inside the box of the kind `meta` are left out."""
    body = table(find_box(meta, b"iloc"))
    version, sizes = body[0], struct.unpack_from(">H", body, 4)[0]
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    position, width = 6, 4 if version == 2 else 2

    def integer(size: int) -> int:
        nonlocal position
        position += size
        if position > len(body):
            raise EOFError("The table of items is truncated.")
        return int.from_bytes(body[position - size : position], "big")

    ends = {}
    for _ in range(integer(width)):
        item, elsewhere = integer(width), version > 0 and integer(2) & 15
        integer(2)  # the file that has the data: this one
        base, end = integer(base_bytes), 0
        for _ in range(integer(2) if offset_bytes + length_bytes else 0):
            integer(index_bytes if version else 0)
            end = max(end, base + integer(offset_bytes) + integer(length_bytes))
        if not elsewhere:
            ends[item] = end
    return ends
