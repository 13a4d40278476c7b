import struct

import pytest

from app.errors import ImageTooExpensive
from app.images.readers.boxes import MAX_BOXES, Box, boxes, find_box, find_property
from tests.app.images.readers.heif_files import box, full_box

TO_THE_END, LONG = 0, 1


def found(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(inner.kind, bytes(inner.body)) for inner in boxes(memoryview(data))]


def head(size: int, kind: bytes) -> bytes:
    return struct.pack(">I4s", size, kind)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\0\0\0\x08fre", []),
        (box(b"free", b"abc") + box(b"skip"), [(b"free", b"abc"), (b"skip", b"")]),
        (head(TO_THE_END, b"mdat") + b"all the rest", [(b"mdat", b"all the rest")]),
        (head(LONG, b"mdat") + struct.pack(">Q", 18) + b"ab" + box(b"free"), [(b"mdat", b"ab"), (b"free", b"")]),
        (head(100, b"mdat") + b"cut", [(b"mdat", b"cut")]),
        (head(7, b"mdat") + bytes(100), []),
        (head(LONG, b"mdat") + struct.pack(">Q", 15) + bytes(100), []),
        (head(LONG, b"mdat") + struct.pack(">Q", 2**64 - 1), [(b"mdat", b"")]),
    ],
)
def test_boxes_of_every_kind_of_size_are_found(data, expected):
    assert found(data) == expected


def test_a_box_knows_its_place_and_whether_it_is_complete():
    data = box(b"free", bytes(5)) + head(100, b"mdat") + b"cut"
    places = [(inner.position, inner.complete) for inner in boxes(memoryview(data), position=1000)]
    assert places == [(1008, True), (1021, False)]


def test_a_long_size_that_is_cut_off_is_an_error():
    with pytest.raises(struct.error):
        found(head(LONG, b"mdat") + bytes(7))


def test_the_number_of_boxes_is_limited():
    assert len(found(box(b"free") * MAX_BOXES)) == MAX_BOXES
    with pytest.raises(ImageTooExpensive, match="too many parts"):
        found(box(b"free") * (MAX_BOXES + 1))


def test_a_box_is_found_along_a_path():
    data = box(b"free") + full_box(b"meta", 0, 0, box(b"iprp", box(b"ipco", b"found")))
    file = Box(b"file", memoryview(data), 0)
    ipco = find_box(file, b"meta", b"iprp", b"ipco")
    assert bytes(ipco.body) == b"found" == data[ipco.position :]
    assert find_box(file, b"meta", b"ipco") is None
    assert find_box(file, b"moov", b"trak") is None


def test_boxes_are_not_opened_unless_they_are_on_the_path():
    nested = b""
    for _ in range(5_000):
        nested = box(b"meta", nested)
    assert find_box(Box(b"file", memoryview(nested), 0), b"meta", b"pitm") is None


def test_the_first_property_of_a_kind_is_found():
    properties = list(boxes(memoryview(box(b"irot", b"\1") + box(b"irot", b"\2"))))
    assert bytes(find_property(properties, b"irot")) == b"\1"
    assert find_property(properties, b"imir") is None
