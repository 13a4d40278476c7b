import numpy as np
import pytest
from PIL import Image

from app.images.colours.profiles import MAX_PROFILE_BYTES, colour_conversion
from app.images.raster import CICP, ColourSpace
from tests.app.images.colours.icc_profiles import (
    ADOBE_RGB,
    ADOBE_RGB_XYZ,
    BT2020_TO_SRGB,
    DISPLAY_P3,
    DISPLAY_P3_XYZ,
    P3_TO_SRGB,
    PROPHOTO,
    PROPHOTO_XYZ,
    SRGB,
    XYZ_TO_SRGB,
    Curve,
    cmyk_profile,
    cmyk_shown,
    gamma_curve,
    grey_profile,
    hlg_light,
    lab_shown,
    pq_light,
    profile,
    rgb_profile,
    shown,
    srgb_light,
    srgb_pixels,
)

FROM_ICC, FROM_CICP, IGNORED = ("converted_from_icc",), ("converted_from_cicp",), ("colour_profile_ignored",)
TONE_MAPPED = (*FROM_CICP, "tone_mapped")

# All combinations of 16 levels, then noise.
GRID = np.stack(np.meshgrid(*3 * [np.arange(0, 256, 17)]), axis=-1).reshape(64, 64, 3)
PIXELS = np.vstack([GRID, np.random.default_rng(0).integers(0, 256, (64, 64, 3))]).astype(np.uint8)
GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
INKS = np.random.default_rng(0).integers(0, 256, (32, 32, 4)).astype(np.uint8)

ADOBE_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
SRGB_CHROMATICITIES = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)


def converted(pixels: np.ndarray, colour_space: ColourSpace, notes: tuple[str, ...], mode: str = "RGB") -> np.ndarray:
    """Returns the converted pixels of an image that must get these notes."""
    conversion = colour_conversion(mode, colour_space, enabled=True)
    assert conversion.notes == notes
    assert conversion.convert
    image = conversion.convert(Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes()))
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def is_close(actual: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(actual - expected).max() <= 2)


def power(gamma: float) -> Curve:
    return lambda codes: codes**gamma


ADOBE_CURVE, PROPHOTO_CURVE = power(563 / 256), power(1.8)
WITH_INTENT_1 = rgb_profile(PROPHOTO_XYZ, gamma_curve(1.8), intent=1)
WITH_INTENT_77 = rgb_profile(ADOBE_RGB_XYZ, gamma_curve(563 / 256), intent=77)
ICC_PROFILES = {
    "Display P3": (DISPLAY_P3, DISPLAY_P3_XYZ, srgb_light),
    "Adobe RGB": (ADOBE_RGB, ADOBE_RGB_XYZ, ADOBE_CURVE),
    "ProPhoto": (PROPHOTO, PROPHOTO_XYZ, PROPHOTO_CURVE),
    "relative colorimetric": (WITH_INTENT_1, PROPHOTO_XYZ, PROPHOTO_CURVE),
    "an intent that does not exist": (WITH_INTENT_77, ADOBE_RGB_XYZ, ADOBE_CURVE),
}


@pytest.mark.parametrize(("icc", "to_xyz", "curve"), ICC_PROFILES.values(), ids=ICC_PROFILES)
def test_an_icc_profile_is_converted_to_srgb(icc, to_xyz, curve):
    assert is_close(converted(PIXELS, ColourSpace(icc), FROM_ICC), shown(PIXELS, to_xyz, curve))


def test_an_srgb_image_saved_in_display_p3_has_its_colours_again():
    pixels = 64 + PIXELS // 2  # without the edges of sRGB, where a level of Display P3 is several of sRGB
    stored = srgb_pixels(srgb_light(pixels / 255) @ np.linalg.inv(P3_TO_SRGB).T).astype(np.uint8)
    assert np.abs(stored.astype(int) - pixels).max() > 10
    assert is_close(converted(stored, ColourSpace(DISPLAY_P3), FROM_ICC), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "RGB", "RGBA", "RGBa", "P"])
@pytest.mark.parametrize(
    "colour_space",
    [
        ColourSpace(),
        ColourSpace(SRGB),
        ColourSpace(cicp=CICP(1, 13)),
        ColourSpace(cicp=CICP(1, 1)),  # players show television's curve with sRGB's
        ColourSpace(cicp=CICP(1, 6)),
        ColourSpace(cicp=CICP(2, 2)),
        ColourSpace(cicp=CICP(2, 13)),
        ColourSpace(gamma=0.45455),
        ColourSpace(gamma=0.47),
        ColourSpace(gamma=0.45455, chromaticities=SRGB_CHROMATICITIES),
        ColourSpace(chromaticities=SRGB_CHROMATICITIES),
    ],
)
def test_srgb_is_not_converted(mode, colour_space):
    assert colour_conversion(mode, colour_space, enabled=True) == (None, ())


GREYS = {
    "grey profile": (ColourSpace(grey_profile(1.8)), FROM_ICC, 1.8),
    "RGB profile": (ColourSpace(PROPHOTO), FROM_ICC, 1.8),
    "CICP": (ColourSpace(cicp=CICP(9, 8)), FROM_CICP, 1.0),
    "gamma": (ColourSpace(gamma=1.0), FROM_ICC, 1.0),
}


@pytest.mark.parametrize(("colour_space", "notes", "gamma"), GREYS.values(), ids=GREYS)
def test_grey_is_converted_to_srgb(colour_space, notes, gamma):
    assert is_close(converted(GREY, colour_space, notes, "L"), srgb_pixels((GREY / 255) ** gamma)[..., None])


def test_a_press_profile_is_converted():
    assert is_close(converted(INKS, ColourSpace(cmyk_profile()), FROM_ICC, "CMYK"), cmyk_shown(INKS))


@pytest.mark.parametrize("intent", range(4))
def test_white_paper_is_white_and_the_darkest_ink_is_black(intent):
    icc = cmyk_profile(
        np.array([[-10, 0, 0], [-10, 0, 0], [-10, 0, 0], [-50, 0, 0]]), intent=intent, white=(0.8, 0.8, 0.6)
    )
    ends = np.array([[[0, 0, 0, 0], [255, 255, 255, 255]]], np.uint8)
    assert is_close(converted(ends, ColourSpace(icc), FROM_ICC, "CMYK"), np.array([[[255] * 3, [0] * 3]]))


@pytest.mark.parametrize("enabled", [True, False])
def test_lab_is_always_converted(enabled):
    lab = np.random.default_rng(0).integers((0, -60, -60), (101, 60, 60), (32, 32, 3))
    stored = np.stack([np.rint(lab[..., 0] * 2.55), *np.moveaxis(lab[..., 1:] & 255, -1, 0)], axis=-1)
    image = Image.frombytes("LAB", (32, 32), stored.astype(np.uint8).tobytes())
    conversion = colour_conversion("LAB", ColourSpace(), enabled=enabled)
    assert conversion.notes == ()
    lightness = np.rint(lab[..., :1] * 2.55) / 2.55
    assert is_close(np.asarray(conversion.convert(image)).astype(int), lab_shown(np.dstack([lightness, lab[..., 1:]])))


USELESS = {
    "empty": ("RGB", ColourSpace(b"")),
    "not a profile": ("RGB", ColourSpace(b"no profile" * 50)),
    "header only": ("RGB", ColourSpace(DISPLAY_P3[:128])),
    "truncated": ("RGB", ColourSpace(DISPLAY_P3[:300])),
    "truncated table of inks": ("CMYK", ColourSpace(cmyk_profile()[:400])),
    "without a curve": ("RGB", ColourSpace(DISPLAY_P3.replace(b"gTRC", b"none"))),
    "too large": ("RGB", ColourSpace(DISPLAY_P3 + bytes(MAX_PROFILE_BYTES))),
    "of RGB, for CMYK": ("CMYK", ColourSpace(DISPLAY_P3)),
    "of CMYK, for RGB": ("RGB", ColourSpace(cmyk_profile())),
    "of grey, for RGB": ("RGB", ColourSpace(grey_profile(2.2))),
    "a link between devices": ("RGB", ColourSpace(rgb_profile(DISPLAY_P3_XYZ, gamma_curve(1), device=b"link"))),
    "an abstract profile": ("RGB", ColourSpace(rgb_profile(DISPLAY_P3_XYZ, gamma_curve(1), device=b"abst"))),
    "CICP, unknown primaries": ("RGB", ColourSpace(cicp=CICP(3, 13))),
    "CICP, unknown transfer": ("RGB", ColourSpace(cicp=CICP(1, 19))),
    "CICP, YCbCr": ("RGB", ColourSpace(cicp=CICP(9, 16, matrix=9))),
    "gamma of zero": ("RGB", ColourSpace(gamma=0.0)),
    "endless gamma": ("RGB", ColourSpace(gamma=float("inf"))),
    "no number": ("RGB", ColourSpace(gamma=float("nan"))),
    "chromaticities of zero": ("RGB", ColourSpace(gamma=0.45455, chromaticities=(0.0,) * 8)),
    "chromaticities without gamma": ("RGB", ColourSpace(chromaticities=ADOBE_CHROMATICITIES)),
    "gamma, for CMYK": ("CMYK", ColourSpace(gamma=1.0)),
}


@pytest.mark.parametrize(("mode", "colour_space"), USELESS.values(), ids=USELESS)
def test_a_useless_description_is_ignored_with_a_note(mode, colour_space):
    assert colour_conversion(mode, colour_space, enabled=True) == (None, IGNORED)


def test_damage_at_any_place_of_a_profile_raises_nothing():
    rng = np.random.default_rng(0)
    for mode, icc in [("RGB", DISPLAY_P3), ("RGB", SRGB), ("CMYK", cmyk_profile(grid=2)), ("L", grey_profile(1.8))]:
        for _ in range(50):
            damaged = bytearray(icc[: rng.integers(len(icc) // 2, len(icc) + 1)])
            for place in rng.integers(0, min(len(damaged), 400), 3):
                damaged[place] = rng.integers(256)
            conversion = colour_conversion(mode, ColourSpace(bytes(damaged)), enabled=True)
            assert conversion.notes in ((), FROM_ICC, IGNORED)


CICPS = {
    "Display P3": (CICP(12, 13), FROM_CICP, srgb_light, P3_TO_SRGB),
    "BT.2020 with television's curve": (CICP(9, 14), FROM_CICP, srgb_light, BT2020_TO_SRGB),
    "BT.2020, curve not specified": (CICP(9, 2), FROM_CICP, srgb_light, BT2020_TO_SRGB),
    "gamma 2.2": (CICP(1, 4), FROM_CICP, power(2.2), np.eye(3)),
    "gamma 2.8": (CICP(1, 5), FROM_CICP, power(2.8), np.eye(3)),
    "linear": (CICP(1, 8), FROM_CICP, power(1), np.eye(3)),
    "narrow range": (
        CICP(1, 13, full_range=False),
        FROM_CICP,
        lambda codes: srgb_light(((255 * codes - 16) / 219).clip(0, 1)),
        np.eye(3),
    ),
    "PQ": (CICP(9, 16), TONE_MAPPED, pq_light, BT2020_TO_SRGB),
    "HLG": (CICP(9, 18), TONE_MAPPED, hlg_light, BT2020_TO_SRGB),
}


@pytest.mark.parametrize(("cicp", "notes", "light", "to_srgb"), CICPS.values(), ids=CICPS)
def test_cicp_is_converted_to_srgb(cicp, notes, light, to_srgb):
    expected = srgb_pixels(light(PIXELS / 255) @ to_srgb.T)
    assert is_close(converted(PIXELS, ColourSpace(cicp=cicp), notes), expected)


def test_cicp_wins_over_icc_and_gamma():
    colour_space = ColourSpace(ADOBE_RGB, CICP(12, 13), 1.0)
    expected = srgb_pixels(srgb_light(PIXELS / 255) @ P3_TO_SRGB.T)
    assert is_close(converted(PIXELS, colour_space, FROM_CICP), expected)


@pytest.mark.parametrize(("cicp", "notes"), [(CICP(2, 2), ()), (CICP(3, 13), IGNORED)])
def test_icc_is_used_if_cicp_says_nothing(cicp, notes):
    actual = converted(PIXELS, ColourSpace(ADOBE_RGB, cicp), notes + FROM_ICC)
    assert is_close(actual, shown(PIXELS, ADOBE_RGB_XYZ, ADOBE_CURVE))


def test_an_icc_profile_that_names_pq_is_tone_mapped():
    icc = profile(b"RGB ", {b"cicp": b"cicp\0\0\0\0\x09\x10\0\1"})
    actual = converted(PIXELS, ColourSpace(icc), (*FROM_ICC, "tone_mapped"))
    assert is_close(actual, srgb_pixels(pq_light(PIXELS / 255) @ BT2020_TO_SRGB.T))


GAMMAS = {
    "linear": (1.0, None, np.eye(3)),
    "1.8": (1 / 1.8, None, np.eye(3)),
    "dark": (0.3, SRGB_CHROMATICITIES, np.eye(3)),
    "Adobe RGB": (0.45471, ADOBE_CHROMATICITIES, XYZ_TO_SRGB @ np.array(ADOBE_RGB_XYZ)),
}


@pytest.mark.parametrize(("gamma", "chromaticities", "to_srgb"), GAMMAS.values(), ids=GAMMAS)
def test_gamma_and_chromaticities_are_converted_to_srgb(gamma, chromaticities, to_srgb):
    colour_space = ColourSpace(gamma=gamma, chromaticities=chromaticities)
    expected = srgb_pixels((PIXELS / 255) ** (1 / gamma) @ to_srgb.T)
    assert is_close(converted(PIXELS, colour_space, FROM_ICC), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK"])
@pytest.mark.parametrize(
    "colour_space",
    [ColourSpace(DISPLAY_P3), ColourSpace(b"broken"), ColourSpace(cicp=CICP(9, 16)), ColourSpace(gamma=1.0)],
)
def test_samples_are_kept_if_conversions_are_disabled(mode, colour_space):
    assert colour_conversion(mode, colour_space, enabled=False) == (None, ())
