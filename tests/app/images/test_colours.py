import struct

import numpy as np
import pytest
from PIL import ExifTags, Image

from app.images import decode
from app.images.colours import UPRIGHT
from tests.app.image_files import RED, encoded, pixels_of, quarters
from tests.app.images.hostile import png, png_chunk

MAX_PIXELS = 1_000_000
GREY = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)


def grey_alpha(alpha: int) -> Image.Image:
    return Image.merge("LA", (Image.fromarray(GREY), Image.new("L", (16, 16), alpha)))


def palette_image() -> Image.Image:
    return Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)


def palette_alpha() -> Image.Image:
    image = Image.new("PA", (4, 4))
    image.putpalette(bytes(RED))
    image.putalpha(0)
    return image


def tRNS(*values: int) -> bytes:
    return png_chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


HALF = tuple(round(value * 128 / 255 + 255 * 127 / 255) for value in RED)
GREY_16 = (GREY.astype(np.uint16) << 8) | 0x7B
RGB_16 = (quarters().astype(np.uint16) * 256 + 0x35).astype(">u2")
ROWS_16 = b"".join(b"\0" + row.tobytes() for row in RGB_16)

EXTRA_SAMPLES = b"\x52\x01\x03\0\x01\0\0\0"  # the TIFF tag without its value: 2 is alpha, 1 is premultiplied alpha

COLOURS = {
    "1 bit": (encoded(Image.fromarray(GREY > 127)), np.where(GREY_RGB > 127, 255, 0), []),
    "grey": (encoded(GREY), GREY_RGB, []),
    "palette": (encoded(palette_image()), quarters(), []),
    "grey, opaque alpha": (encoded(grey_alpha(255)), GREY_RGB, []),
    "grey, transparent": (encoded(grey_alpha(0)), np.full((16, 16, 3), 255), ["alpha_composited_on_white"]),
    "RGBA, half": (
        encoded(Image.new("RGBA", (4, 4), (*RED, 128))),
        np.full((4, 4, 3), HALF),
        ["alpha_composited_on_white"],
    ),
    "RGBA, transparent red": (
        encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))),
        np.full((4, 4, 3), 255),
        ["alpha_composited_on_white"],
    ),
    "palette with alpha": (
        encoded(palette_alpha(), "TIFF"),
        np.full((4, 4, 3), 255),
        ["alpha_composited_on_white"],
    ),
    "palette, one entry transparent": (
        encoded(Image.new("P", (4, 4), 0), transparency=0),
        np.full((4, 4, 3), 255),
        ["alpha_composited_on_white"],
    ),
    "palette, an alpha for each entry": (
        encoded(palette_image(), transparency=bytes(4)),
        np.full((16, 32, 3), 255),
        ["alpha_composited_on_white"],
    ),
    "RGB, one colour transparent": (
        encoded(Image.fromarray(quarters()), transparency=RED),
        np.where((quarters() == RED).all(axis=2, keepdims=True), 255, quarters()),
        ["alpha_composited_on_white"],
    ),
    "1 bit, black transparent": (
        encoded(Image.fromarray(GREY > 127), transparency=0),
        np.full((16, 16, 3), 255),
        ["alpha_composited_on_white"],
    ),
    "premultiplied grey": (
        encoded(grey_alpha(255), "TIFF").replace(EXTRA_SAMPLES + b"\2", EXTRA_SAMPLES + b"\1"),
        GREY_RGB,
        [],
    ),
    "16-bit grey PNG": (encoded(GREY_16), GREY_RGB, ["reduced_from_16_bit"]),
    "16-bit grey TIFF": (encoded(GREY_16, "TIFF"), GREY_RGB, ["reduced_from_16_bit"]),
    "16-bit grey TIFF, LZW": (
        encoded(GREY_16, "TIFF", compression="tiff_lzw"),
        GREY_RGB,
        ["reduced_from_16_bit"],
    ),
    "16-bit grey TIFF, 0 is white": (
        encoded(GREY_16, "TIFF", tiffinfo={262: 0}),
        255 - GREY_RGB,
        ["reduced_from_16_bit"],
    ),
    "16-bit grey PNG, one value transparent": (
        png(0, 16, b"\0" + struct.pack(">2H", 0x1234, 0x5678), (2, 1), tRNS(0x1234)),
        np.array([[[255] * 3, [0x56] * 3]]),
        ["reduced_from_16_bit", "alpha_composited_on_white"],
    ),
    "16-bit RGB PNG": (png(2, 16, ROWS_16, (32, 16)), quarters(), ["reduced_from_16_bit"]),
    "16-bit RGB PNG, one colour transparent": (
        png(2, 16, ROWS_16, (32, 16), tRNS(*(value * 256 + 0x35 for value in RED))),
        np.where((quarters() == RED).all(axis=2, keepdims=True), 255, quarters()),
        ["reduced_from_16_bit", "alpha_composited_on_white"],
    ),
    "float TIFF": (encoded((GREY / 255).astype(np.float32), "TIFF"), GREY_RGB, ["reduced_from_float"]),
    "float TIFF, 0 is white": (
        encoded((GREY / 255).astype(np.float32), "TIFF", tiffinfo={262: 0}),
        255 - GREY_RGB,
        ["reduced_from_float"],
    ),
    "float TIFF with its range": (
        encoded(GREY.astype(np.float32) * 100, "TIFF", tiffinfo={340: 0.0, 341: 25500.0}),
        GREY_RGB,
        ["reduced_from_float"],
    ),
    "CMYK TIFF": (
        encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "TIFF"),
        np.full((4, 4, 3), (255, 0, 0)),
        ["converted_from_cmyk"],
    ),
}


@pytest.mark.parametrize(("data", "expected", "notes"), COLOURS.values(), ids=COLOURS)
def test_colours_are_what_a_viewer_shows(data, expected, notes):
    image = decode(data, MAX_PIXELS)
    assert np.abs(pixels_of(image).astype(int) - expected).max() <= 1
    assert image.notes == notes


def test_a_cmyk_jpeg_is_read_with_adobes_inverted_inks():
    image = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95), MAX_PIXELS)
    assert np.abs(pixels_of(image).astype(int) - (255, 0, 0)).max() <= 3
    assert image.notes == ["converted_from_cmyk"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_strips_join_without_a_seam_in_every_orientation(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    # The image has a little more than two strips.
    pixels = np.random.default_rng(0).integers(0, 256, (1_100, 2_000, 3)).astype(np.uint8)
    expected = Image.fromarray(pixels)
    if orientation > 1:
        expected = expected.transpose(UPRIGHT[orientation])
    data = encoded(pixels, exif=exif, compress_level=0)
    assert (pixels_of(decode(data, pixels.size)) == np.asarray(expected)).all()


def test_one_transparent_pixel_in_the_last_strip_is_noted():
    image = Image.new("RGBA", (2_000, 1_100), (*RED, 255))
    image.putpixel((1_999, 1_099), (*RED, 0))
    decoded = decode(encoded(image), 10_000_000)
    assert decoded.notes == ["alpha_composited_on_white"]
    assert (pixels_of(decoded)[-1, -1] == 255).all()
    assert (pixels_of(decoded)[:-1] == RED).all()
