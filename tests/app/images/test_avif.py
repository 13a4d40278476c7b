import struct

import pytest
from PIL import Image

from app.errors import InvalidImage
from app.images.avif import boxes, coded_size, item_places, read_avif, sequence_size
from app.images.headers import Header
from tests.app.image_files import encoded
from tests.app.images.hostile import NAMES

pytestmark = pytest.mark.skipif("AVIF" not in NAMES, reason="this Pillow has no AVIF")

BLANK = Image.new("RGB", (40, 30))
MORE = {"save_all": True, "append_images": [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]}


def bits(*fields: tuple[int, int]) -> bytes:
    """Packs (value, number of bits) fields into bytes, padded with zeros."""
    text = "".join(f"{value:0{count}b}" for value, count in fields if count)
    return bytes(int(text[at : at + 8].ljust(8, "0"), 2) for at in range(0, len(text), 8))


SIZE = [(11, 4), (8, 4), (3_999, 12), (299, 9)]
ONE_POINT = [(0, 1), (0, 5), (0, 12), (0, 5)]

SEQUENCES = {
    "still image, reduced": [(0, 3), (1, 1), (1, 1), (0, 5), *SIZE],
    "video": [(0, 3), (0, 1), (0, 1), (0, 1), *ONE_POINT, *SIZE],
    "video with timing": [(0, 3), (0, 1), (0, 1), (1, 1), (7, 64), (0, 1), (0, 1), *ONE_POINT, *SIZE],
    "video of equal intervals": [(0, 3), (0, 1), (0, 1), (1, 1), (7, 64), (1, 1), (5, 5), (0, 1), *ONE_POINT, *SIZE],
    "video with a decoder model, two points and a delay": [
        *[(0, 3), (0, 1), (0, 1), (1, 1), (7, 64), (0, 1), (1, 1), (9, 5), (0, 42)],
        *[(1, 1), (1, 5)],
        *[(0, 12), (8, 5), (1, 1), (1, 1), (0, 21), (1, 1), (3, 4)],
        *[(0, 12), (7, 5), (0, 1), (0, 1)],
        *SIZE,
    ],
}


@pytest.mark.parametrize("fields", SEQUENCES.values(), ids=SEQUENCES)
def test_the_size_is_read_from_a_sequence_header(fields):
    assert sequence_size(bits(*fields)) == (4_000, 300)


@pytest.mark.parametrize(
    "options", [{}, {"subsampling": "4:4:4"}, {"speed": 10}, {"quality": 100}, {"range": "limited"}]
)
def test_the_size_of_a_valid_file_is_read(options):
    assert read_avif(encoded(BLANK, "AVIF", **options)) == Header(40, 30)


def test_a_file_with_an_alpha_channel_is_accepted():
    assert read_avif(encoded(Image.new("RGBA", (3_000, 20), (1, 2, 3, 4)), "AVIF", speed=10)) == Header(3_000, 20)


def test_the_frames_of_a_sequence_are_counted():
    assert read_avif(encoded(BLANK, "AVIF", **MORE)) == Header(40, 30, 3)


LARGE = Image.new("RGB", (4_096, 2_048))


@pytest.mark.parametrize("options", [{}, {"save_all": True, "append_images": [LARGE]}])
def test_a_stream_that_is_much_larger_than_its_box_says_is_refused(options):
    data = encoded(LARGE, "AVIF", speed=10, **options)
    with pytest.raises(InvalidImage, match="far more pixels than its header declares"):
        read_avif(data.replace(struct.pack(">II", *LARGE.size), struct.pack(">II", 64, 64)))


def test_an_item_that_repeats_the_same_bytes_is_refused():
    data = bytearray(encoded(BLANK, "AVIF"))
    at = data.index(b"iloc") + 4
    (offset,) = struct.unpack_from(">I", data, at + 14)
    pieces = struct.pack(">HHHHH", 0x4400, 1, 1, 0, 7_000) + struct.pack(">II", offset, len(data)) * 7_000
    iloc = struct.pack(">I4s4x", 12 + len(pieces), b"iloc") + pieces
    struct.pack_into(">I", data, data.index(b"meta") - 4, len(data) + len(iloc))  # meta now extends to the end
    with pytest.raises(InvalidImage, match="uses the same bytes many times"):
        read_avif(bytes(data[: at - 8] + iloc + data[at + 22 :]))


def test_an_item_without_offset_and_length_is_refused():
    with pytest.raises(InvalidImage, match="neither an offset nor a length"):
        item_places(memoryview(bytes(6) + struct.pack(">HHHH", 1, 1, 0, 65_535)))


def test_an_item_that_is_not_in_the_file_itself_is_ignored():
    item = struct.pack(">HHHHHII", 1, 7, 1, 0, 1, 5, 10)
    assert item_places(memoryview(b"\1\0\0\0\x44\0" + item)) == {}


@pytest.mark.parametrize("stream", [b"\x32\x01\0" * 17, b"\x12\0" * 1_001])
def test_a_stream_of_too_many_frames_or_obus_is_refused(stream):
    with pytest.raises(InvalidImage, match="too many frames"):
        coded_size(stream)


def test_obus_may_have_an_extension_and_a_long_length_or_no_length():
    sequence = bits(*SEQUENCES["still image, reduced"])
    assert coded_size(b"\x0c\0" + sequence) == (4_000, 300)
    assert coded_size(b"\x0e\0" + bytes([0x80 | len(sequence), 0]) + sequence) == (4_000, 300)


@pytest.mark.parametrize(
    ("version", "head"),
    [(0, struct.pack(">HH", 1, 7)), (1, struct.pack(">HHH", 1, 7, 0)), (2, struct.pack(">IIH", 1, 7, 0))],
)
def test_the_pieces_of_an_item_are_found(version, head):
    item = head + struct.pack(">HIHIIII", 0, 100, 2, 5, 10, 50, 20)
    assert item_places(memoryview(bytes([version, 0, 0, 0, 0x44, 0x40]) + item)) == {7: [(105, 115), (150, 170)]}


def test_nested_boxes_and_boxes_of_every_kind_of_length_are_found():
    nested = b""
    for _ in range(50):
        nested = struct.pack(">I4s", 8 + len(nested), b"trak") + nested
    assert [name for name, _ in boxes(memoryview(nested))] == [b"trak"] * 50
    long = struct.pack(">I4sQ", 1, b"free", 20) + b"long" + struct.pack(">I4s", 0, b"mdat") + b"to the end"
    assert [(name, bytes(body)) for name, body in boxes(memoryview(long))] == [
        (b"free", b"long"),
        (b"mdat", b"to the end"),
    ]
