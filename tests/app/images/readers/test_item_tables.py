import struct
import time

import pytest

from app.errors import ImageTooExpensive
from app.images.readers.boxes import Box
from app.images.readers.item_tables import (
    MAX_TABLE_BYTES,
    Item,
    read_ends,
    read_items,
    read_properties,
    read_references,
)
from tests.app.images.readers.heif_files import Part, box, full_box, heif_file, rotation, size_box

PARTS = [
    Part(b"grid", b"12345678", [size_box(4, 2)], [(b"dimg", [2, 3])]),
    Part(b"hvc1", b"first", [size_box(2, 2), rotation(1)], hidden=True),
    Part(b"hvc1", b"second", [size_box(2, 2)], [(b"auxl", [1]), (b"thmb", [2])]),
    Part(b"mime", b"<x>"),
]


def meta_of(data: bytes) -> Box:
    start = data.index(b"meta") + 4
    return Box(b"meta", memoryview(data)[start : data.index(b"mdat") - 4], start)


def meta(*inside: bytes) -> Box:
    return Box(b"meta", memoryview(bytes(4) + b"".join(inside)), 0)


@pytest.fixture(params=[False, True], ids=["16-bit identifiers", "32-bit identifiers"])
def data(request) -> bytes:
    return heif_file(*PARTS, wide=request.param)


def test_items_have_a_kind_and_may_be_hidden(data):
    items = read_items(meta_of(data))
    assert [(number, item.kind, item.hidden) for number, item in items.items()] == [
        (1, b"grid", False),
        (2, b"hvc1", True),
        (3, b"hvc1", False),
        (4, b"mime", False),
    ]
    assert all(data[item.kind_position : item.kind_position + 4] == item.kind for item in items.values())


def test_properties_are_given_by_item(data):
    properties = read_properties(meta_of(data))
    kinds = {item: [found.kind for found in boxes] for item, boxes in properties.items()}
    assert kinds == {1: [b"ispe"], 2: [b"ispe", b"irot"], 3: [b"ispe"], 4: []}
    assert properties[2][0] is properties[3][0]


def test_references_are_given_by_kind(data):
    assert read_references(meta_of(data)) == [(b"dimg", 1, (2, 3)), (b"auxl", 3, (1,)), (b"thmb", 3, (2,))]


def test_the_end_of_each_item_is_found(data):
    ends = read_ends(meta_of(data))
    assert {item: data[end - len(PARTS[item - 1].data) : end] for item, end in ends.items()} == {
        number: part.data for number, part in enumerate(PARTS, 1)
    }


@pytest.mark.parametrize(
    ("version", "entry"),
    [
        (0, struct.pack(">HHIHIIII", 7, 0, 1_000, 2, 50, 20, 5, 10)),
        (1, struct.pack(">HHHIHIIII", 7, 0, 0, 1_000, 2, 50, 20, 5, 10)),
        (2, struct.pack(">IHHIHIIII", 7, 0, 0, 1_000, 2, 50, 20, 5, 10)),
    ],
)
def test_an_item_may_consist_of_pieces(version, entry):
    count = struct.pack(">I" if version == 2 else ">H", 1)
    assert read_ends(meta(full_box(b"iloc", version, 0, b"\x44\x40", count, entry))) == {7: 1_070}


def test_an_item_inside_the_metadata_has_no_end_in_the_file():
    entry = struct.pack(">HHHHII", 7, 1, 0, 1, 5, 10)
    assert read_ends(meta(full_box(b"iloc", 1, 0, b"\x44\0", struct.pack(">H", 1), entry))) == {}


def test_missing_tables_are_empty():
    assert (read_items(meta()), read_properties(meta()), read_references(meta()), read_ends(meta())) == ({}, {}, [], {})


def test_old_and_unknown_entries_are_ignored():
    entries = full_box(b"infe", 1, 0, bytes(20)), box(b"free", bytes(20)), full_box(b"infe", 2, 0, b"\0\7\0\0hvc1\0")
    items = read_items(meta(full_box(b"iinf", 0, 0, b"\0\3", *entries)))
    assert [(number, item[:2]) for number, item in items.items()] == [(7, Item(b"hvc1", False, 0)[:2])]


def test_a_property_that_does_not_exist_is_ignored():
    links = struct.pack(">IHBBB", 1, 7, 2, 0, 9)
    iprp = box(b"iprp", box(b"ipco", rotation(1)), full_box(b"ipma", 0, 0, links))
    assert read_properties(meta(iprp)) == {7: []}


@pytest.mark.parametrize(("read", "kind"), [(read_items, b"iinf"), (read_references, b"iref"), (read_ends, b"iloc")])
def test_the_size_of_a_table_is_limited(read, kind):
    with pytest.raises(ImageTooExpensive, match="too many parts"):
        read(meta(full_box(kind, 0, 0, bytes(MAX_TABLE_BYTES))))


@pytest.mark.parametrize(
    ("read", "table"),
    [
        (read_properties, box(b"iprp", full_box(b"ipma", 0, 0, b"\xff" * 100))),
        (read_references, full_box(b"iref", 0, 0, box(b"dimg", b"\xff" * 100))),
        (read_ends, full_box(b"iloc", 0, 0, b"\x44\0\xff\xff", bytes(100))),
        (read_ends, full_box(b"iloc", 0, 0, b"\0\0\xff\xff", bytes(100))),
        (read_ends, full_box(b"iloc", 0, 0, b"")),
    ],
)
def test_a_table_that_ends_too_early_is_an_error(read, table):
    with pytest.raises((struct.error, EOFError)):
        read(meta(table))


def test_a_large_table_of_empty_pieces_takes_little_time():
    entries = struct.pack(">HHH", 1, 0, 0xFFFF) * 80_000
    start = time.perf_counter()
    read_ends(meta(full_box(b"iloc", 0, 0, b"\0\0", struct.pack(">H", 0xFFFF), entries)))
    assert time.perf_counter() - start < 5
