"""Every expected pixel is computed from the samples that the file was made of."""

import numpy as np
import pytest

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decode import decode
from tests.app.images.readers.bmp_files import (
    ALPHA_MASKS,
    HEIGHT,
    MASKS,
    OPTIONS,
    RLE4,
    RLE8,
    RNG,
    WIDTH,
    bmp_of,
    masked_rows,
    packed,
    padded,
    pixels,
    values_of,
)


@pytest.mark.parametrize("header", [12, 16, 40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_show_the_colours_of_the_palette(bits, header):
    palette = RNG.integers(0, 256, (1 << bits, 3))
    indices = RNG.integers(0, 1 << bits, (HEIGHT, WIDTH))
    data = bmp_of(packed(indices, bits), bits, header=header, palette=palette)
    assert (pixels(data) == palette[indices]).all()
    assert decode(data, OPTIONS).notes == []


@pytest.mark.parametrize("entries", [1, 3, 255, 300])
def test_a_palette_may_have_fewer_or_more_colours_than_the_bits_allow(entries):
    palette = RNG.integers(0, 256, (entries, 3))
    indices = RNG.integers(0, 256, (HEIGHT, WIDTH))
    expected = np.pad(palette, ((0, 256), (0, 0)))[indices]  # missing colours are black
    assert (pixels(bmp_of(packed(indices, 8), 8, palette=palette, colours=entries)) == expected).all()


def test_pixels_follow_the_palette_if_their_position_is_not_declared():
    palette = RNG.integers(0, 256, (16, 3))
    indices = RNG.integers(0, 16, (HEIGHT, WIDTH))
    assert (pixels(bmp_of(packed(indices, 4), 4, palette=palette, offset=0)) == palette[indices]).all()


@pytest.mark.parametrize("header", [12, 40, 56, 64, 108, 124])
def test_24_bits_are_blue_green_red(header):
    colours = RNG.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    rows = padded(colours[..., ::-1].reshape(HEIGHT, -1))
    assert (pixels(bmp_of(rows, 24, header=header)) == colours).all()
    if header > 12:
        top_down = padded(colours[::-1, :, ::-1].reshape(HEIGHT, -1))
        assert (pixels(bmp_of(top_down, 24, header=header, height=-HEIGHT)) == colours).all()


# Bits per pixel, and the masks of red, green, blue and alpha.
LAYOUTS = {
    "5-5-5": (16, (0x7C00, 0x3E0, 0x1F, 0)),
    "5-6-5": (16, (0xF800, 0x7E0, 0x1F, 0)),
    "5-6-5, blue first": (16, (0x1F, 0x7E0, 0xF800, 0)),
    "5-5-5-1": (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    "4-4-4-4": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "3-3-2": (16, (0xE0, 0x1C, 0x3, 0)),
    "1-1-1": (16, (4, 2, 1, 0)),
    "8-8-8": (32, (0xFF0000, 0xFF00, 0xFF, 0)),
    "8-8-8, shifted": (32, (0xFF000000, 0xFF0000, 0xFF00, 0)),
    "8-8-8-8": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "8-8-8-8, alpha first": (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
    "8-8-8-8, red first": (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    "10-10-10": (32, (0x3FF << 20, 0x3FF << 10, 0x3FF, 0)),
    "10-10-10-2": (32, (0x3FF, 0x3FF << 10, 0x3FF << 20, 3 << 30)),
    "11-11-10": (32, (0x7FF << 21, 0x7FF << 10, 0x3FF, 0)),
    "16-8-8": (32, (0xFFFF0000, 0xFF00, 0xFF, 0)),
    "7-9-5": (32, (0x7F << 20, 0x1FF << 6, 0x1F, 0)),
}


def shown(values: np.ndarray, masks: tuple[int, ...]) -> np.ndarray:
    """Returns the colours on white, [H, W, 3], from the values of the pixels."""
    channels = []
    for mask in masks:
        low = (mask & -mask).bit_length() - 1 if mask else 0
        bits, field = mask.bit_count(), (values & mask) >> low
        channels.append(field >> bits - 8 if bits > 8 else np.rint(field * 255 / max((1 << bits) - 1, 1)))
    alpha = channels[3][..., None] if masks[3] and channels[3].any() else 255
    return (np.stack(channels[:3], axis=2) * alpha + 255.0 * (255 - alpha)) / 255


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_bit_masks_say_where_the_colours_are(layout, header):
    bits, masks = layout
    values = values_of(bits)
    if header < 56:  # these headers have no mask for alpha
        masks = (*masks[:3], 0)
    stored = masks[:3] if header == 40 else masks
    data = bmp_of(masked_rows(values, bits), bits, header=header, compression=MASKS, masks=stored)
    assert np.abs(pixels(data) - shown(values, masks)).max() <= (1 if masks[3] else 0)
    notes = decode(data, OPTIONS).notes
    assert ("alpha_composited_on_white" in notes) == bool(masks[3])
    assert ("reduced_from_16_bit" in notes) == any(mask.bit_count() > 8 for mask in masks)


def test_four_masks_may_follow_the_header():
    bits, masks = LAYOUTS["4-4-4-4"]
    values = values_of(bits)
    data = bmp_of(masked_rows(values, bits), bits, compression=ALPHA_MASKS, masks=masks)
    assert np.abs(pixels(data) - shown(values, masks)).max() <= 1


@pytest.mark.parametrize("header", [56, 108, 124])
@pytest.mark.parametrize("layout", ["8-8-8-8", "4-4-4-4", "10-10-10-2"])
def test_an_image_whose_alpha_is_all_zero_is_opaque(layout, header):
    bits, masks = LAYOUTS[layout]
    values = values_of(bits) & ~masks[3]
    data = bmp_of(masked_rows(values, bits), bits, header=header, compression=MASKS, masks=masks)
    assert (pixels(data) == shown(values, (*masks[:3], 0))).all()
    assert "alpha_composited_on_white" not in decode(data, OPTIONS).notes


@pytest.mark.parametrize("header", [40, 108, 124])
def test_the_fourth_byte_is_unused_without_bit_masks(header):
    values = values_of(32)
    data = bmp_of(masked_rows(values, 32), 32, header=header, masks=(0, 0, 0, 0xFF000000) if header > 40 else ())
    assert (pixels(data) == shown(values, (0xFF0000, 0xFF00, 0xFF, 0))).all()
    assert decode(data, OPTIONS).notes == []


def test_16_bits_without_bit_masks_are_5_5_5():
    values = values_of(16)
    assert (pixels(bmp_of(masked_rows(values, 16), 16)) == shown(values, LAYOUTS["5-5-5"][1])).all()


def test_24_bits_may_have_the_usual_bit_masks():
    colours = RNG.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    rows = padded(colours[..., ::-1].reshape(HEIGHT, -1))
    usual, other = (0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000)
    assert (pixels(bmp_of(rows, 24, compression=MASKS, masks=usual)) == colours).all()
    with pytest.raises(UnsupportedMediaType, match="bit masks for 24 bits"):
        decode(bmp_of(rows, 24, compression=MASKS, masks=other), OPTIONS)


WRONG_MASKS = {
    "overlap": (32, (0xFF00, 0xFF00, 0xFF)),
    "have gaps": (32, (0xF0F0000, 0xFF00, 0xFF)),
    "are too large": (16, (0xFF0000, 0xFF00, 0xFF)),
    "a colour has no bits": (32, (0, 0xFF00, 0xFF)),
    "all zero": (32, (0, 0, 0)),
}


@pytest.mark.parametrize(("bits", "masks"), WRONG_MASKS.values(), ids=WRONG_MASKS)
def test_wrong_bit_masks_are_damage(bits, masks):
    with pytest.raises(InvalidImage, match=r"The BMP is damaged: (the bit masks|a colour has no bits)"):
        decode(bmp_of(masked_rows(values_of(bits), bits), bits, compression=MASKS, masks=masks), OPTIONS)


def test_run_lengths_of_8_bits():
    palette = RNG.integers(0, 256, (256, 3))
    commands = [
        bytes([5, 7, 0, 3, 1, 2, 3, 0, 5, 9, 0, 0]),  # a run, 3 indices and their padding, a run, the end of the row
        bytes([0, 0]),  # an empty row
        bytes([20, 4, 0, 0]),  # a run that is too long
        bytes([2, 1, 0, 2, 3, 1, 2, 6]),  # skips 3 pixels and one row
        bytes([0, 1]),
    ]
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[0] = [7] * 5 + [1, 2, 3] + [9] * 5
    expected[2] = 4
    expected[3, :2], expected[4, 5:7] = 1, 6
    data = bmp_of(b"".join(commands), 8, compression=RLE8, palette=palette)
    assert (pixels(data) == palette[expected][::-1]).all()


def test_run_lengths_of_4_bits():
    palette = RNG.integers(0, 256, (16, 3))
    commands = [
        bytes([5, 0x12, 0, 5, 0x34, 0x56, 0x70, 0, 3, 0x88, 0, 0]),
        bytes([13, 0x9A, 0, 0]),
        bytes([0, 6, 0xAB, 0xCD, 0xEF, 0, 0, 0]),
        bytes([0, 1]),
    ]
    expected = np.zeros((HEIGHT, WIDTH), int)
    expected[0] = [1, 2, 1, 2, 1, 3, 4, 5, 6, 7, 8, 8, 8]
    expected[1] = [9, 10] * 6 + [9]
    expected[2, :6] = [10, 11, 12, 13, 14, 15]
    data = bmp_of(b"".join(commands), 4, compression=RLE4, palette=palette)
    assert (pixels(data) == palette[expected][::-1]).all()


@pytest.mark.parametrize(("bits", "compression"), [(8, RLE8), (4, RLE4)])
def test_run_lengths_need_no_end_marker_but_all_their_rows(bits, compression):
    row = bytes([WIDTH, 0x33, 0, 0])
    palette = RNG.integers(0, 256, (1 << bits, 3))
    whole = bmp_of(row * HEIGHT, bits, compression=compression, palette=palette)
    assert (pixels(whole) == palette[0x33 if bits == 8 else 3]).all()
    assert (pixels(whole[:-2]) == pixels(whole)).all()
    for cut in (3, 4, 5, 12):
        with pytest.raises(InvalidImage, match="truncated"):
            decode(whole[:-cut], OPTIONS)
