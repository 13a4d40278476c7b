import struct

import numpy as np
import pytest

from app.images.readers.exif import ORIENTATION, exif_orientation, read_orientation, read_tags

KINDS = {1: "B", 3: "H", 4: "I"}


def block(order: str, value: int, kind: int = 3, count: int = 1, before: int = 0) -> bytes:
    """Returns an EXIF block whose orientation tag is preceded by others."""
    values = struct.pack(order + KINDS[kind], value).ljust(4, b"\0")
    others = b"".join(struct.pack(order + "HHII", 1 + number, 2, 9, 0xFFFFFFFF) for number in range(before))
    entries = others + struct.pack(order + "HHI", ORIENTATION, kind, count) + values
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "IH", 8, before + 1) + entries + bytes(4)


@pytest.mark.parametrize("prefix", [b"", b"Exif\0\0", b"Exif\0\xff"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", range(1, 9))
def test_every_orientation_is_read_in_both_byte_orders_and_all_integer_types(prefix, order, kind, value):
    assert read_orientation([prefix + block(order, value, kind, before=3)]) == value


UPRIGHT = {
    "nothing": b"",
    "no TIFF": b"garbage, and more garbage",
    "a header alone": b"II*\0",
    "a directory outside": b"II*\0\xff\xff\xff\xff",
    "a directory in the header": b"II*\0\0\0\0\0\x01\0\x12\x01",
    "another magic number": block("<", 6).replace(b"II*", b"II+"),
    "a mixed byte order": b"MM" + block("<", 6)[2:],
    "0": block("<", 0),
    "9": block("<", 9),
    "65535": block(">", 65_535),
    "two values": block("<", 6, count=2),
    "no values": block("<", 6, count=0),
    "endless values": block("<", 6, count=0xFFFFFFFF),
    "a text": block("<", 6).replace(struct.pack("<HH", ORIENTATION, 3), struct.pack("<HH", ORIENTATION, 2)),
    "cut short": block("<", 6)[:-9],
}


@pytest.mark.parametrize("exif", UPRIGHT.values(), ids=UPRIGHT)
def test_damaged_or_invalid_exif_means_upright(exif):
    assert read_orientation([exif]) == 1


def test_the_first_usable_block_counts_and_then_xmp():
    xmp = b'<rdf:Description tiff:Orientation="8">'
    assert read_orientation([b"", block("<", 9), block(">", 5), block("<", 6)], xmp) == 5
    assert read_orientation([b"", block("<", 9)], xmp) == 8
    assert read_orientation([]) == 1


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (b"tiff:Orientation='3'", 3),
        (b'tiff:Orientation = "3"', 3),
        (b"<tiff:Orientation>3</tiff:Orientation>", 3),
        (b"<tiff:Orientation> 3 </tiff:Orientation>", 3),
        (b"tiff:Orientation='0'", 1),
        (b"tiff:Orientation='31'", 1),
        (b"tiff:Orientation=", 1),
        (b"\xff\xfe", 1),
    ],
)
def test_xmp_is_read(xmp, expected):
    assert read_orientation([], xmp) == expected


def test_the_first_of_equal_tags_counts():
    entry = struct.pack("<HHIHH", ORIENTATION, 3, 1, 6, 0)
    data = b"II*\0" + struct.pack("<IH", 8, 2) + entry + entry.replace(b"\6", b"\3") + bytes(4)
    assert exif_orientation(data) == 6


def test_random_bytes_never_raise():
    rng = np.random.default_rng(0)
    for _ in range(3_000):
        exif = bytearray(block("<", 6, before=2))
        for at in rng.integers(0, len(exif), 3):
            exif[at] = rng.integers(0, 256)
        assert 1 <= read_orientation([bytes(exif)]) <= 8
        read_tags(rng.bytes(60), "<", int(rng.integers(0, 70)))
