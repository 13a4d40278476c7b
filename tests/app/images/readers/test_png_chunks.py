import struct

import numpy as np
import pytest

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decode import decode
from app.images.readers.png import read_header
from tests.app.images.hostile import png_chunk
from tests.app.images.readers.png_files import (
    LAYOUTS,
    OPTIONS,
    file_of,
    samples_of,
)

SOUND = file_of(samples_of(2, 8), 2, 8)
IDAT_AT = SOUND.index(b"IDAT")


@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS"])
def test_a_wrong_checksum_of_a_needed_chunk_is_damage(kind):
    data = file_of(samples_of(2, 8), 2, 8, png_chunk(b"PLTE", bytes(3)) + png_chunk(b"tRNS", bytes(6)))
    at = data.index(kind)
    end = at + 4 + int.from_bytes(data[at - 4 : at], "big")
    with pytest.raises(InvalidImage, match=f"its chunk {kind.decode()} has a wrong checksum"):
        decode(data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :], OPTIONS)


@pytest.mark.parametrize("cut", [12, 13, 14, 16, 11, 4, 1])
def test_a_png_whose_end_is_missing_is_read_and_noted(cut):
    image = decode(SOUND[:-cut], OPTIONS)
    assert (np.asarray(image.rgb) == samples_of(2, 8)).all()
    assert image.notes == (["end_marker_missing"] if cut > 4 else [])


def test_bytes_after_the_end_are_ignored():
    image = decode(SOUND + png_chunk(b"IDAT", b"x") + b"PK\3\4", OPTIONS)
    assert (np.asarray(image.rgb) == samples_of(2, 8)).all()
    assert image.notes == []


@pytest.mark.parametrize("data", [SOUND[:8], SOUND[:20], SOUND[:33], SOUND[: IDAT_AT + 4]])
def test_a_png_without_pixels_is_truncated(data):
    with pytest.raises(InvalidImage, match=r"The PNG is (truncated|damaged: it does not begin)"):
        decode(data, OPTIONS)


def header_with(**fields: int) -> bytes:
    values = {"width": 4, "height": 4, "bits": 8, "colour_type": 2, "compression": 0, "filters": 0, "interlaced": 0}
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", *(values | fields).values()))
    return SOUND[:8] + header + SOUND[33:]


BAD_HEADERS = [{"width": 0}, {"height": 0}, {"compression": 1}, {"filters": 1}, {"interlaced": 2}, {"colour_type": 5}]
BAD_HEADERS += [
    {"colour_type": colour_type, "bits": bits}
    for colour_type in (0, 1, 2, 3, 4, 6)
    for bits in (0, 1, 2, 3, 4, 8, 16, 32)
    if (colour_type, bits) not in LAYOUTS
]


@pytest.mark.parametrize("fields", BAD_HEADERS, ids=str)
def test_a_header_with_wrong_fields_is_damage(fields):
    with pytest.raises(InvalidImage, match="The PNG is damaged: its header declares"):
        decode(header_with(**fields), OPTIONS)


@pytest.mark.parametrize("palette", [b"", bytes(4), bytes(771)])
def test_a_palette_of_a_wrong_length_is_damage(palette):
    with pytest.raises(InvalidImage, match="its palette has"):
        decode(file_of(samples_of(3, 8), 3, 8, png_chunk(b"PLTE", palette)), OPTIONS)


def test_cgbi_is_named_and_not_read_as_a_header():
    data = SOUND[:8] + png_chunk(b"CgBI", b"P\0 \2") + SOUND[8:]
    for function in (read_header, lambda data: decode(data, OPTIONS)):
        with pytest.raises(UnsupportedMediaType, match=r"CgBI variant of PNG is not supported. Save it as an ordinary"):
            function(data)


def test_an_unknown_needed_chunk_is_named():
    with pytest.raises(UnsupportedMediaType, match="chunk ABCD, which is not supported"):
        decode(file_of(samples_of(2, 8), 2, 8, png_chunk(b"ABCD", b"")), OPTIONS)


def test_something_else_where_a_chunk_should_be_is_damage():
    with pytest.raises(InvalidImage, match="byte 34 does not begin a chunk"):
        decode(SOUND[:33] + b"\0\0\0\0\0\0\0\0" + SOUND[33:], OPTIONS)
