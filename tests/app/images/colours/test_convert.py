import numpy as np
import pytest
from PIL import ExifTags, Image

from app.images.colours.convert import STRIP_PIXELS, UPRIGHT, to_srgb
from app.images.decode import DecodeOptions, decode
from app.images.raster import CICP, ColourSpace, Raster
from tests.app.image_files import RED, encoded, pixels_of, quarters
from tests.app.images.colours.icc_profiles import (
    ADOBE_RGB,
    ADOBE_RGB_XYZ,
    DISPLAY_P3,
    DISPLAY_P3_XYZ,
    PROPHOTO,
    SRGB,
    cmyk_profile,
    cmyk_shown,
    grey_profile,
    shown,
    srgb_light,
    srgb_pixels,
)

OPTIONS = DecodeOptions(max_image_pixels=10_000_000)
GREY = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
WHITE = np.array(255)
ON_WHITE, FROM_ICC, FROM_CMYK = ["alpha_composited_on_white"], ["converted_from_icc"], ["converted_from_cmyk"]
RED_IN_P3 = shown(np.array(RED), DISPLAY_P3_XYZ, srgb_light)
GREY_IN_1_8 = np.repeat(srgb_pixels((GREY / 255) ** 1.8)[..., None], 3, axis=2)


def half_on_white(colour: tuple[int, int, int] | np.ndarray) -> np.ndarray:
    return np.rint((np.array(colour) * 128 + 255 * 127) / 255)


def grey_alpha(alpha: int) -> Image.Image:
    return Image.merge("LA", (Image.fromarray(GREY), Image.new("L", (16, 16), alpha)))


def palette_image() -> Image.Image:
    return Image.fromarray(quarters()).convert("P", palette=Image.Palette.ADAPTIVE, colors=4)


def with_transparency(image: Image.Image, transparency: object) -> Image.Image:
    image.info["transparency"] = transparency
    return image


def premultiplied(image: Image.Image) -> Image.Image:
    return image.convert(f"{image.mode[:-1]}a")


def red(mode: str, alpha: int = 255) -> Image.Image:
    return Image.new(mode, (4, 4), (*RED, alpha)[: len(mode)])


RED_TRANSPARENT = (quarters() == RED).all(axis=2, keepdims=True)

RASTERS = {
    "1 bit": (Raster(Image.fromarray(GREY > 127), 16, 16), np.where(GREY_RGB > 127, 255, 0), []),
    "grey": (Raster(Image.fromarray(GREY), 16, 16), GREY_RGB, []),
    "palette": (Raster(palette_image(), 32, 16), quarters(), []),
    "grey, opaque alpha": (Raster(grey_alpha(255), 16, 16), GREY_RGB, []),
    "grey, transparent": (Raster(grey_alpha(0), 16, 16), WHITE, ON_WHITE),
    "grey, premultiplied": (Raster(premultiplied(grey_alpha(255)), 16, 16), GREY_RGB, []),
    "grey, half, premultiplied": (
        Raster(Image.new("La", (4, 4), (100, 128)), 4, 4),
        half_on_white((199, 199, 199)),
        ON_WHITE,
    ),
    "RGBA, opaque": (Raster(red("RGBA"), 4, 4), np.array(RED), []),
    "RGBA, half": (Raster(red("RGBA", 128), 4, 4), half_on_white(RED), ON_WHITE),
    "RGBA, half, premultiplied": (Raster(premultiplied(red("RGBA", 128)), 4, 4), half_on_white(RED), ON_WHITE),
    "RGBA, transparent red": (Raster(red("RGBA", 0), 4, 4), WHITE, ON_WHITE),
    "palette, one entry transparent": (Raster(with_transparency(Image.new("P", (4, 4)), 0), 4, 4), WHITE, ON_WHITE),
    "palette, an alpha for each entry": (Raster(with_transparency(palette_image(), bytes(4)), 32, 16), WHITE, ON_WHITE),
    "RGB, one colour transparent": (
        Raster(with_transparency(Image.fromarray(quarters()), RED), 32, 16),
        np.where(RED_TRANSPARENT, 255, quarters()),
        ON_WHITE,
    ),
    "1 bit, black transparent": (Raster(with_transparency(Image.fromarray(GREY > 127), 0), 16, 16), WHITE, ON_WHITE),
    "CMYK": (Raster(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), 4, 4), (255, 0, 0), []),
    "Display P3": (Raster(red("RGB"), 4, 4, colour_space=ColourSpace(DISPLAY_P3)), RED_IN_P3, FROM_ICC),
    "Display P3, half": (
        Raster(red("RGBA", 128), 4, 4, colour_space=ColourSpace(DISPLAY_P3)),
        half_on_white(RED_IN_P3),
        FROM_ICC + ON_WHITE,
    ),
    "Display P3, half, premultiplied": (
        Raster(premultiplied(red("RGBA", 128)), 4, 4, colour_space=ColourSpace(DISPLAY_P3)),
        half_on_white(RED_IN_P3),
        FROM_ICC + ON_WHITE,
    ),
    "Display P3, palette": (
        Raster(palette_image(), 32, 16, colour_space=ColourSpace(DISPLAY_P3)),
        shown(quarters(), DISPLAY_P3_XYZ, srgb_light),
        FROM_ICC,
    ),
    "Display P3, one colour transparent": (
        Raster(with_transparency(Image.fromarray(quarters()), RED), 32, 16, colour_space=ColourSpace(DISPLAY_P3)),
        np.where(RED_TRANSPARENT, 255, shown(quarters(), DISPLAY_P3_XYZ, srgb_light)),
        FROM_ICC + ON_WHITE,
    ),
    "grey of gamma 1.8": (
        Raster(Image.fromarray(GREY), 16, 16, colour_space=ColourSpace(grey_profile(1.8))),
        GREY_IN_1_8,
        FROM_ICC,
    ),
    "grey of gamma 1.8, opaque alpha": (
        Raster(grey_alpha(255), 16, 16, colour_space=ColourSpace(grey_profile(1.8))),
        GREY_IN_1_8,
        FROM_ICC,
    ),
    "grey of gamma 1.8, transparent": (
        Raster(grey_alpha(0), 16, 16, colour_space=ColourSpace(grey_profile(1.8))),
        WHITE,
        FROM_ICC + ON_WHITE,
    ),
    "grey of ProPhoto": (
        Raster(Image.fromarray(GREY), 16, 16, colour_space=ColourSpace(PROPHOTO)),
        GREY_IN_1_8,
        FROM_ICC,
    ),
    "1 bit with a grey profile": (
        Raster(Image.fromarray(GREY > 127), 16, 16, colour_space=ColourSpace(grey_profile(1.8))),
        np.where(GREY_RGB > 127, 255, 0),
        FROM_ICC,
    ),
    "press CMYK": (
        Raster(Image.new("CMYK", (4, 4), (10, 200, 90, 30)), 4, 4, tuple(FROM_CMYK), ColourSpace(cmyk_profile())),
        cmyk_shown(np.array((10, 200, 90, 30))),
        FROM_CMYK + FROM_ICC,
    ),
    "PQ, half": (
        Raster(Image.new("LA", (4, 4), (200, 128)), 4, 4, colour_space=ColourSpace(cicp=CICP(9, 16))),
        WHITE,
        ["converted_from_cicp", "tone_mapped", *ON_WHITE],
    ),
}


@pytest.mark.parametrize(("raster", "expected", "notes"), RASTERS.values(), ids=RASTERS)
def test_colours_are_what_a_viewer_shows(raster, expected, notes):
    rgb, found = to_srgb(raster, convert_profiles=True)
    assert rgb.mode == "RGB"
    assert rgb.size == (raster.width, raster.height)
    assert np.abs(np.asarray(rgb).astype(int) - expected).max() <= 2
    assert found == notes


@pytest.mark.parametrize("icc", [None, SRGB])
def test_an_image_in_srgb_is_not_copied(icc):
    image = red("RGB")
    rgb, notes = to_srgb(Raster(image, 4, 4, colour_space=ColourSpace(icc)), convert_profiles=True)
    assert rgb is image
    assert notes == []


def test_a_broken_profile_leaves_the_samples_as_they_are():
    raster = Raster(Image.fromarray(quarters()), 32, 16, colour_space=ColourSpace(DISPLAY_P3[:300]))
    rgb, notes = to_srgb(raster, convert_profiles=True)
    assert (np.asarray(rgb) == quarters()).all()
    assert notes == ["colour_profile_ignored"]


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
@pytest.mark.parametrize("colour_space", [ColourSpace(PROPHOTO), ColourSpace(cicp=CICP(9, 16)), ColourSpace(gamma=1.0)])
def test_samples_are_kept_without_conversion_of_profiles(mode, colour_space):
    image = Image.fromarray(quarters()).convert(mode)
    rgb, notes = to_srgb(Raster(image, 32, 16, colour_space=colour_space), convert_profiles=False)
    assert (np.asarray(rgb) == np.asarray(image.convert("RGB"))).all()
    assert notes == []


def test_cmyk_is_converted_plainly_without_conversion_of_profiles():
    raster = Raster(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), 4, 4, colour_space=ColourSpace(cmyk_profile()))
    rgb, notes = to_srgb(raster, convert_profiles=False)
    assert (np.asarray(rgb) == (255, 0, 0)).all()
    assert notes == []


@pytest.mark.parametrize("icc", [None, ADOBE_RGB])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_strips_join_without_a_seam_in_every_orientation(orientation, icc):
    pixels = np.random.default_rng(0).integers(0, 256, (1_100, 2_000, 3)).astype(np.uint8)
    assert pixels.size // 3 > 2 * STRIP_PIXELS
    expected = shown(pixels, ADOBE_RGB_XYZ, lambda codes: codes ** (563 / 256)) if icc else pixels
    turned = Image.fromarray(expected.astype(np.uint8))
    if orientation > 1:
        turned = turned.transpose(UPRIGHT[orientation])
    raster = Raster(Image.fromarray(pixels), 2_000, 1_100, (), ColourSpace(icc), orientation)
    rgb, notes = to_srgb(raster, convert_profiles=True)
    assert np.abs(np.asarray(rgb).astype(int) - np.asarray(turned)).max() <= (1 if icc else 0)
    assert notes == FROM_ICC * bool(icc) + ["exif_orientation_applied"] * (orientation > 1)


def test_one_transparent_pixel_in_the_last_strip_is_noted():
    image = Image.new("RGBA", (2_000, 1_100), (*RED, 255))
    image.putpixel((1_999, 1_099), (*RED, 0))
    rgb, notes = to_srgb(Raster(image, 2_000, 1_100), convert_profiles=True)
    assert notes == ["alpha_composited_on_white"]
    assert (np.asarray(rgb)[-1, -1] == 255).all()
    assert (np.asarray(rgb)[:-1] == RED).all()


def test_orientation_alpha_and_profile_of_a_file_are_all_applied():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    pixels = np.dstack([quarters(), np.full((16, 32), 128)]).astype(np.uint8)
    decoded = decode(encoded(pixels, exif=exif, icc_profile=DISPLAY_P3), OPTIONS)
    expected = np.rot90(half_on_white(shown(quarters(), DISPLAY_P3_XYZ, srgb_light)), -1)
    assert np.abs(pixels_of(decoded).astype(int) - expected).max() <= 2
    assert decoded.notes == [*FROM_ICC, *ON_WHITE, "exif_orientation_applied"]


@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_profile_of_a_file_is_applied(image_format):
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(image_format, {})
    data = encoded(np.full((16, 16, 3), RED, np.uint8), image_format, icc_profile=DISPLAY_P3, **options)
    decoded = decode(data, OPTIONS)
    assert np.abs(pixels_of(decoded).astype(int) - RED_IN_P3).max() <= (4 if image_format == "JPEG" else 2)
    assert decoded.notes == FROM_ICC
    assert decode(data, OPTIONS._replace(convert_profiles=False)).notes == []


def test_a_cmyk_jpeg_is_read_with_adobes_inverted_inks():
    image = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95), OPTIONS)
    assert np.abs(pixels_of(image).astype(int) - (255, 0, 0)).max() <= 3
    assert image.notes == FROM_CMYK


def test_a_cmyk_jpeg_is_converted_by_its_press_profile():
    inks = (10, 200, 90, 30)
    image = Image.new("CMYK", (16, 16), inks)
    decoded = decode(encoded(image, "JPEG", quality=100, icc_profile=cmyk_profile()), OPTIONS)
    assert np.abs(pixels_of(decoded).astype(int) - cmyk_shown(np.array(inks))).max() <= 4
    assert decoded.notes == FROM_CMYK + FROM_ICC
