import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, features

from app.colours import UPRIGHT
from app.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType
from app.images import FORMATS, MAX_FRAMES, decode
from tests.app.pictures import BLUE, GREEN, RED, encoded, picture, quarters

MAX_PIXELS = 1_000_000
LOSSLESS = [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})]
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


def png(colour_type: int, bits: int, rows: bytes, size: tuple[int, int], extra: bytes = b"") -> bytes:
    """Returns a PNG of raw rows, for what Pillow cannot write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tRNS(*values: int) -> bytes:
    data = struct.pack(f">{len(values)}H", *values)
    return struct.pack(">I", len(data)) + b"tRNS" + data + struct.pack(">I", zlib.crc32(b"tRNS" + data))


def gif(frames: int) -> bytes:
    colours = bytes(RED) + bytes(BLUE)
    frame = b"!\xf9\x04\0\0\0\0\0" + b",\0\0\0\0\x01\0\x01\0\0" + b"\x02\x02\x44\x01\0"
    return b"GIF89a\x01\0\x01\0\x80\0\0" + colours + frame * frames + b";"


@pytest.mark.parametrize(("image_format", "options"), LOSSLESS)
def test_a_lossless_file_gives_back_its_pixels(image_format, options):
    image = decode(encoded(quarters(), image_format, **options), MAX_PIXELS)
    assert (image.rgb == quarters()).all()
    assert (image.format, image.notes) == (image_format, [])
    assert image.rgb.dtype == np.uint8


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "GIF", "AVIF"])
def test_a_lossy_file_gives_back_about_its_pixels(image_format):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    image = decode(encoded(picture(GREEN), image_format), MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - GREEN).max() <= 4
    assert image.format == image_format


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(image_format, orientation):
    if image_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    stored = Image.fromarray(quarters())
    if orientation in UPRIGHT:  # store it turned, so that the tag makes it upright
        inverse = {6: UPRIGHT[8], 8: UPRIGHT[6]}.get(orientation, UPRIGHT[orientation])
        stored = stored.transpose(inverse)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = decode(encoded(stored, image_format, exif=exif, quality=95), MAX_PIXELS)
    assert image.rgb.shape == quarters().shape
    centres = np.ix_([4, 12], [8, 24])  # of the quarters, far from what a lossy format smears
    assert np.abs(image.rgb[centres].astype(int) - quarters()[centres]).max() <= 12
    assert ("exif_orientation_applied" in image.notes) == (orientation > 1)


HALF = tuple(round(value * 128 / 255 + 255 * 127 / 255) for value in RED)
GREY_16 = (GREY.astype(np.uint16) << 8) | 0x7B
RGB_16 = (quarters().astype(np.uint16) * 256 + 0x35).astype(">u2")
ROWS_16 = b"".join(b"\0" + row.tobytes() for row in RGB_16)

EXTRA_SAMPLES = b"\x52\x01\x03\0\x01\0\0\0"  # the TIFF tag, before its value: 2 is alpha, 1 is premultiplied

COLOURS = {
    "1 bit": (encoded(Image.fromarray(GREY > 127)), np.where(GREY_RGB > 127, 255, 0), []),
    "grey": (encoded(GREY), GREY_RGB, []),
    "palette": (encoded(palette_image()), quarters(), []),
    "grey, opaque alpha": (encoded(grey_alpha(255)), GREY_RGB, []),
    "grey, no alpha at all": (encoded(grey_alpha(0)), np.full((16, 16, 3), 255), ["alpha_composited_on_white"]),
    "RGBA, half": (
        encoded(Image.new("RGBA", (4, 4), (*RED, 128))),
        np.full((4, 4, 3), HALF),
        ["alpha_composited_on_white"],
    ),
    "RGBA, hidden red": (
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
    assert np.abs(image.rgb.astype(int) - expected).max() <= 1
    assert image.notes == notes


def test_a_cmyk_jpeg_is_read_with_adobes_inverted_inks():
    image = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95), MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - (255, 0, 0)).max() <= 3
    assert image.notes == ["converted_from_cmyk"]


@pytest.mark.parametrize(
    ("image_format", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_of_several_frames_the_first_is_used(image_format, options):
    others = [Image.fromarray(picture(colour)) for colour in (GREEN, BLUE)]
    data = encoded(picture(RED), image_format, save_all=True, append_images=others, **options)
    image = decode(data, MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - RED).max() <= 2
    assert image.notes == ["first_frame_of_3"]


@pytest.mark.parametrize("image_format", [form.name for form in FORMATS])
def test_a_truncated_file_is_refused_with_its_format(image_format):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = encoded(noise, image_format)
    with pytest.raises(InvalidImage, match=f"The {image_format} is (truncated|damaged)"):
        decode(data[: len(data) // 2], MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", InvalidImage, "has 0 bytes"),
        (b"hello", UnsupportedMediaType, "no image in an accepted format"),
        (b"%PDF-1.7", UnsupportedMediaType, "PDF is not accepted"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", UnsupportedMediaType, "SVG is not accepted"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", UnsupportedMediaType, "HEIC is not accepted"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", UnsupportedMediaType, "no image in an accepted format"),
        (b"8BPS\0\x01", UnsupportedMediaType, "no image in an accepted format"),
        (b"SIMPLE  =                    T", UnsupportedMediaType, "no image in an accepted format"),
        (b"\xff\xd8\xff", InvalidImage, "JPEG"),
        (b"BMoon", InvalidImage, "BMP"),
        (encoded(GREY.astype(np.int32), "TIFF"), InvalidImage, "no defined white"),
        (encoded(GREY.astype(np.float32), "TIFF"), InvalidImage, "not all between 0 and 1"),
        (encoded(np.full((2, 2), np.nan, np.float32), "TIFF"), InvalidImage, "not all between 0 and 1"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(data, error, message):
    with pytest.raises(error, match=message):
        decode(data, MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(0, 1, b"", (1001, 1000)), "1001 x 1000 pixels. At most 1,000,000"),
        (png(0, 1, b"", (30_000, 30_000)), "30000 x 30000"),
        (png(0, 1, b"", (60_000, 1)), "32,768 a side"),
        (gif(MAX_FRAMES + 1), "more than 1,000 frames"),
        (
            encoded(Image.new("1", (1, 1)), "TIFF", save_all=True, append_images=[Image.new("1", (1, 1))] * 1_000),
            "frames",
        ),
    ],
)
def test_what_is_too_large_is_refused_by_its_header(data, message):
    with pytest.raises(ImageTooLarge, match=message):
        decode(data, MAX_PIXELS)


def test_an_image_at_the_limit_is_accepted():
    assert decode(encoded(picture(side=1000)), MAX_PIXELS).rgb.shape == (1000, 1000, 3)
    assert decode(gif(MAX_FRAMES), MAX_PIXELS).notes == [f"first_frame_of_{MAX_FRAMES}"]


def test_a_bomb_of_compressed_text_is_refused():
    text = b"Comment\0\0" + zlib.compress(b"a" * 50_000_000)
    chunk = struct.pack(">I", len(text)) + b"zTXt" + text + struct.pack(">I", zlib.crc32(b"zTXt" + text))
    with pytest.raises(InvalidImage):
        decode(png(0, 8, b"\0\0", (1, 1), chunk), MAX_PIXELS)


def test_damaged_exif_does_not_cost_the_picture():
    image = decode(encoded(picture(GREEN), "JPEG", exif=b"Exif\0\0garbage"), MAX_PIXELS)
    assert np.abs(image.rgb.astype(int) - GREEN).max() <= 4


def test_the_content_decides_and_not_a_claim():
    assert decode(encoded(picture(), "GIF"), MAX_PIXELS).format == "GIF"
