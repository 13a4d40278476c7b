"""Every expected pixel is computed from the samples that the file was made of."""

import struct
import zlib

import numpy as np
import pytest

from app.errors import InvalidImage
from app.images.decode import DecodeOptions, decode
from app.images.raster import Header
from app.images.readers.png import read_header
from tests.app.image_files import encoded, quarters
from tests.app.images.hostile import png, png_chunk
from tests.app.images.readers.png_files import (
    LAYOUTS,
    OPTIONS,
    SIZE,
    file_of,
    palette_of,
    pixels,
    samples_of,
    shown,
)


@pytest.mark.parametrize("adam7", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("colour_type", "bits"), LAYOUTS)
def test_every_layout_shows_its_samples(colour_type, bits, adam7):
    palette = png_chunk(b"PLTE", palette_of(bits).tobytes()) if colour_type == 3 else b""
    samples = samples_of(colour_type, bits)
    data = file_of(samples, colour_type, bits, palette, adam7)
    assert np.abs(pixels(data) - shown(samples, colour_type, bits)).max() <= (colour_type in (4, 6))
    notes = decode(data, OPTIONS).notes
    assert ("reduced_from_16_bit" in notes) == (bits == 16)
    assert ("alpha_composited_on_white" in notes) == (colour_type in (4, 6))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 1), (3, 5), (4, 2), (5, 1), (8, 8)])
@pytest.mark.parametrize(("colour_type", "bits"), LAYOUTS)
def test_an_interlaced_image_of_any_size_shows_its_samples(colour_type, bits, size):
    palette = png_chunk(b"PLTE", palette_of(bits).tobytes()) if colour_type == 3 else b""
    samples = samples_of(colour_type, bits, size)
    data = file_of(samples, colour_type, bits, palette, adam7=True)
    assert np.abs(pixels(data) - shown(samples, colour_type, bits)).max() <= (colour_type in (4, 6))


@pytest.mark.parametrize("adam7", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("colour_type", "bits"), [layout for layout in LAYOUTS if layout[0] in (0, 2)])
def test_one_transparent_grey_or_colour_is_compared_in_all_its_bits(colour_type, bits, adam7):
    samples = samples_of(colour_type, bits)
    if bits == 16:  # the neighbours have the same high byte, and are opaque
        samples[0, :, :] = samples[SIZE[1] // 2, 0] ^ 1
    transparent = tuple(samples[SIZE[1] // 2, 0].tolist())
    data = file_of(
        samples, colour_type, bits, png_chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)), adam7
    )
    assert (pixels(data) == shown(samples, colour_type, bits, transparent)).all()
    assert "alpha_composited_on_white" in decode(data, OPTIONS).notes


def test_a_transparent_colour_that_differs_in_its_low_byte_is_opaque():
    samples = np.full((3, 4, 3), 0x1234)
    data = file_of(samples, 2, 16, png_chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x1234, 0x1235)))
    assert (pixels(data) == 0x12).all()
    assert decode(data, OPTIONS).notes == ["reduced_from_16_bit"]


@pytest.mark.parametrize(("colour_type", "bits", "grey"), [(0, 1, 0xFF01), (0, 4, 0x1003), (0, 8, 0x0103)])
def test_only_the_low_bits_of_a_transparent_grey_count(colour_type, bits, grey):
    low = grey & ((1 << bits) - 1)
    data = file_of(np.full((2, 2, 1), low), colour_type, bits, png_chunk(b"tRNS", struct.pack(">H", grey)))
    assert (pixels(data) == 255).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("alphas", [b"\0", b"\xff\0", b"\x80\x40"])
def test_palette_entries_have_their_alpha(bits, alphas):
    samples = samples_of(3, bits)
    samples[0, :5] = [[0], [1], [0], [1], [0]]
    extra = png_chunk(b"PLTE", palette_of(bits).tobytes()) + png_chunk(b"tRNS", alphas)
    difference = pixels(file_of(samples, 3, bits, extra)) - shown(samples, 3, bits, tuple(alphas))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("transparent", [b"", b"\0", bytes(7)])
def test_a_tRNS_of_a_wrong_length_is_ignored(transparent):
    samples = samples_of(2, 8)
    length_is_too_short = len(transparent) < 6
    data = file_of(samples, 2, 8, png_chunk(b"tRNS", transparent))
    assert (pixels(data) == shown(samples, 2, 8, () if length_is_too_short else (0, 0, 0))).all()


@pytest.mark.parametrize("adam7", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("colour_type", "bits"), LAYOUTS)
def test_missing_pixels_are_an_error_however_they_are_missing(colour_type, bits, adam7):
    palette = png_chunk(b"PLTE", palette_of(bits).tobytes()) if colour_type == 3 else b""
    samples = samples_of(colour_type, bits)
    data = file_of(samples, colour_type, bits, palette, adam7)
    body = data.index(b"IDAT") + 4
    length = int.from_bytes(data[body - 8 : body - 4], "big")
    with pytest.raises(InvalidImage, match="truncated"):
        decode(data[: body + length // 2], OPTIONS)
    rows = zlib.decompress(data[body : body + length])
    for missing in range(1, len(rows) + 1):  # also whole rows
        short = data[: body - 8] + png_chunk(b"IDAT", zlib.compress(rows[:-missing])) + png_chunk(b"IEND", b"")
        with pytest.raises(InvalidImage, match="too few pixels"):
            decode(short, OPTIONS)


def test_a_still_png_has_one_frame():
    still = file_of(samples_of(2, 8), 2, 8)
    assert read_header(still) == Header(*SIZE)
    assert read_header(encoded(quarters())) == Header(32, 16)
    with pytest.raises(InvalidImage, match="one frame, so there is no frame 1"):
        decode(still, DecodeOptions(1_000_000, frame=1))


def test_the_rows_of_a_png_may_be_black():
    assert (pixels(png(0, 1, bytes(2 * 8), (8, 8))) == 0).all()
