"""The expected pixels are those that were encoded, or NumPy formulas of them.

imagecodecs writes few variants. The others are made by another header before the same coded samples.
"""

import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType
from app.images.raster import CICP, ColourSpace, Header, ReadOptions
from app.images.readers import jpeg_xl
from tests.app.image_files import encoded, quarters
from tests.app.images.colours.icc_profiles import DISPLAY_P3, DISPLAY_P3_XYZ, shown, srgb_light, srgb_pixels
from tests.app.images.readers.expectations import BLENDED, DEEP, TURNED, assert_shows, read, upright
from tests.app.images.readers.heif_files import box
from tests.app.images.readers.jpeg_xl_files import (
    ALPHA,
    CONTAINER,
    FLOATS,
    PREMULTIPLIED,
    SIGNATURE,
    SIXTEEN_BITS,
    colours,
    enum,
    header,
    packed,
    size,
)

imagecodecs = pytest.importorskip("imagecodecs", reason="JPEG XL needs this optional package")

PIXELS = quarters(37)
SIDES = size(*PIXELS.shape[1::-1])
GREY = np.asarray(Image.fromarray(PIXELS).convert("L"))
OPACITY = np.tile(np.linspace(0, 255, PIXELS.shape[1]).astype(np.uint8), (len(PIXELS), 1))
ON_WHITE = np.rint(PIXELS * (OPACITY[..., None] / 255) + 255 - OPACITY[..., None])
P3_SHOWN = shown(PIXELS, DISPLAY_P3_XYZ, srgb_light)
LINEAR = colours(transfer=8)
SAMPLES_16 = PIXELS.astype(np.uint16) * 257


def saved(samples: np.ndarray, **options: object) -> bytes:
    """Returns a codestream, without boxes."""
    photometric = "rgb" if samples.shape[-1] in (3, 4) else None
    data = imagecodecs.jpegxl_encode(samples, photometric=photometric, **options)
    return data if data.startswith(SIGNATURE) else data[data.index(b"jxlc") + 4 :]


def with_header(data: bytes, old: bytes, new: bytes) -> bytes:
    """Returns a codestream with another header."""
    assert data.startswith(old)
    return new + data[len(old) :]


PLAIN = header(SIDES)
LOSSLESS = saved(PIXELS)


def test_lossless_images_have_exactly_the_pixels_that_were_encoded():
    assert jpeg_xl.read_header(LOSSLESS) == Header(*PIXELS.shape[1::-1])
    assert_shows(read(LOSSLESS), PIXELS, tolerance=0)
    assert_shows(read(CONTAINER + box(b"jxlc", LOSSLESS)), PIXELS, tolerance=0)
    assert_shows(read(saved(GREY)), np.dstack([GREY] * 3), tolerance=0)


def test_lossy_images():
    assert_shows(read(saved(PIXELS, distance=0.5, lossless=False)), PIXELS, tolerance=24)


def test_alpha_is_composited_on_white():
    assert_shows(read(saved(np.dstack([PIXELS, OPACITY]))), ON_WHITE, BLENDED, tolerance=1)
    on_white = np.rint(GREY * (OPACITY / 255) + 255 - OPACITY)
    assert_shows(read(saved(np.dstack([GREY, OPACITY]))), np.dstack([on_white] * 3), BLENDED, tolerance=1)


def test_premultiplied_alpha_is_composited_on_white():
    premultiplied = np.dstack([np.rint(PIXELS * (OPACITY[..., None] / 255)).astype(np.uint8), OPACITY])
    data = with_header(saved(premultiplied), header(SIDES, channels=ALPHA), header(SIDES, channels=PREMULTIPLIED))
    assert_shows(read(data), ON_WHITE, BLENDED, tolerance=2)


def test_other_channels_are_ignored():
    planes = np.stack([GREY, GREY.T.reshape(GREY.shape), OPACITY])
    data = imagecodecs.jpegxl_encode(planes, planar=True, photometric="gray")
    assert_shows(read(data), np.dstack([GREY] * 3), tolerance=0)


def test_16_bit_samples_lose_the_lowest_bits():
    data = with_header(saved(SAMPLES_16), header(SIDES, LINEAR, depth=SIXTEEN_BITS), header(SIDES, depth=SIXTEEN_BITS))
    assert_shows(read(data), PIXELS, DEEP, tolerance=0)


@pytest.mark.parametrize(("bits", "selector"), [(10, [(1, 2)]), (12, [(2, 2)])])
def test_10_and_12_bit_samples_lose_the_lowest_bits(bits, selector):
    samples = PIXELS.astype(np.uint16) << (bits - 8) | 3
    data = imagecodecs.jpegxl_encode(samples, photometric="rgb", bitspersample=bits)
    data = data[data.index(SIGNATURE) :]
    depth = [(0, 1), *selector]
    assert_shows(
        read(with_header(data, header(SIDES, LINEAR, depth=depth), header(SIDES, depth=depth))),
        PIXELS,
        DEEP,
        tolerance=0,
    )


def test_linear_light_gets_the_curve_of_srgb_before_it_is_reduced():
    light = np.tile(np.linspace(0, 1, 256) ** 3, (8, 1)).astype(np.float32)
    expected = np.dstack([srgb_pixels(light.astype(np.float64))] * 3)
    assert len(np.unique(expected)) > 180
    assert_shows(read(saved(np.rint(light * 65_535).astype(np.uint16))), expected, DEEP, tolerance=1)
    assert_shows(read(saved(light)), expected, "reduced_from_float", tolerance=1)
    assert_shows(read(saved(light.astype(np.float16))), expected, "reduced_from_float", tolerance=1)
    transparent = np.dstack([np.dstack([light] * 3), np.full_like(light, 0.5)])
    assert_shows(read(saved(transparent)), (expected + 256) // 2, "reduced_from_float", BLENDED, tolerance=2)


def test_floats_outside_the_range_of_the_display_are_clipped():
    samples = np.tile(np.array([-1, 0, 1, 9], np.float32), (4, 1))
    expected = np.tile(np.array([0, 0, 255, 255]), (4, 1))
    assert_shows(read(saved(samples)), np.dstack([expected] * 3), "reduced_from_float", tolerance=0)


def test_floats_that_are_not_linear():
    samples = (PIXELS / 255).astype(np.float32)
    data = with_header(saved(samples), header(SIDES, LINEAR, depth=FLOATS), header(SIDES, depth=FLOATS))
    assert_shows(read(data), PIXELS, "reduced_from_float", tolerance=0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_once(orientation):
    exif = Image.Exif()
    exif[274] = 6
    stream = with_header(LOSSLESS, PLAIN, header(SIDES, orientation=orientation))
    data = CONTAINER + box(b"Exif", bytes(4), exif.tobytes()[6:]) + box(b"jxlc", stream)
    notes = [TURNED] if orientation > 1 else []
    assert_shows(read(data), upright(PIXELS, orientation), *notes, tolerance=0)


def test_display_p3_becomes_srgb():
    data = with_header(LOSSLESS, PLAIN, header(SIDES, colours(primaries=11)))
    assert_shows(read(data), P3_SHOWN, "converted_from_cicp")


def test_colours_that_have_no_code_point_become_srgb():
    xy = (680_000, 320_000, 265_000, 690_000, 150_000, 60_001)
    data = with_header(LOSSLESS, PLAIN, header(SIDES, colours(primaries=2, xy=xy)))
    assert_shows(read(data), P3_SHOWN, "converted_from_icc")


def test_a_gamma_becomes_srgb():
    data = with_header(LOSSLESS, PLAIN, header(SIDES, colours(gamma=5_555_556)))
    assert_shows(read(data), srgb_pixels((PIXELS / 255) ** 1.8), "converted_from_icc", tolerance=2)


def test_lossy_images_are_decoded_to_the_colours_that_the_header_describes():
    data = saved(PIXELS, distance=0.5, lossless=False)
    old = SIGNATURE + packed(*SIDES, (1, 1), (1, 1))  # all defaults
    wide = with_header(data, old, header(SIDES, colours(primaries=11), xyb=True))
    assert jpeg_xl.read(wide, ReadOptions()).colour_space == ColourSpace(cicp=CICP(12, 13))
    assert_shows(read(wide), PIXELS, "converted_from_cicp", tolerance=24)


def test_hdr_is_described_by_its_code_points():
    data = with_header(LOSSLESS, PLAIN, header(SIDES, colours(primaries=9, transfer=16)))
    assert jpeg_xl.read(data, ReadOptions()).colour_space == ColourSpace(cicp=CICP(9, 16))


def test_the_frames_of_an_animation():
    frames = [PIXELS, 255 - PIXELS, np.full_like(PIXELS, 90)]
    data = imagecodecs.jpegxl_encode(np.stack(frames), photometric="rgb")
    assert jpeg_xl.read_header(data).frames == 3
    assert_shows(read(data), frames[0], "first_frame_of_3", tolerance=0)
    assert_shows(read(data, frame=1), frames[1], "frame_1_of_3", tolerance=0)
    assert_shows(read(data, frame=2), frames[2], "frame_2_of_3", "blank_frame", tolerance=0)
    with pytest.raises(InvalidImage, match="no frame 3"):
        read(data, frame=3)


def test_a_jpeg_inside_is_read_as_the_jpeg_with_its_profile():
    exif = Image.Exif()
    exif[274] = 6
    jpeg = encoded(PIXELS, "JPEG", quality=95, subsampling=0, icc_profile=DISPLAY_P3, exif=exif.tobytes())
    stored = np.asarray(Image.open(BytesIO(jpeg)))
    data = imagecodecs.jpegxl_encode_jpeg(jpeg)
    expected = np.rot90(shown(stored, DISPLAY_P3_XYZ, srgb_light), 3)
    assert_shows(read(data), expected, "converted_from_icc", TURNED)
    assert read(data).format == "JPEG XL"


def test_a_jpeg_inside_without_a_profile():
    jpeg = encoded(PIXELS, "JPEG", quality=95, subsampling=0)
    assert_shows(read(imagecodecs.jpegxl_encode_jpeg(jpeg)), np.asarray(Image.open(BytesIO(jpeg))), tolerance=16)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (header(SIDES, [(0, 1), (1, 1), *enum(0)]), "with an ICC profile is not supported. Save it as sRGB, or as PNG"),
        (header(SIDES, colours(white=10, transfer=16)), "HDR with unusual primaries is not supported. Save it as sRGB"),
        (
            header(SIDES, LINEAR, depth=SIXTEEN_BITS, channels=PREMULTIPLIED),
            "premultiplied linear colours is not supported. Save it as PNG",
        ),
    ],
)
def test_unsupported_variants_are_named(new, message):
    with pytest.raises(UnsupportedMediaType, match=message):
        read(with_header(LOSSLESS, PLAIN, new))


def test_without_imagecodecs_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(UnsupportedMediaType, match="JPEG XL needs the optional package imagecodecs on the server"):
        read(LOSSLESS)


@pytest.mark.parametrize("data", [LOSSLESS, CONTAINER + box(b"jxlc", LOSSLESS)], ids=["codestream", "boxes"])
def test_every_truncated_file_is_invalid(data):
    for length in range(12 if data.startswith(CONTAINER) else 2, len(data)):
        with pytest.raises(InvalidImage, match="truncated"):
            read(data[:length])


def test_damaged_files_are_invalid():
    with pytest.raises(InvalidImage, match="damaged"):
        read(PLAIN + b"\xff" * 200)


def test_the_declared_size_is_limited_before_decoding():
    with pytest.raises(ImageTooLarge):
        read(header(size(100_000, 100_000)))
