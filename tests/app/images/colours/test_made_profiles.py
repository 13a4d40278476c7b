from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.images.colours.made_profiles import (
    PRIMARIES,
    SRGB_CHROMATICITIES,
    adapt_to_d50,
    fixed_point,
    matrix_profile,
    xyz_matrix,
)
from tests.app.images.colours.icc_profiles import ADOBE_RGB_XYZ, DISPLAY_P3_XYZ, PROPHOTO_XYZ

# Published by Bruce Lindbloom
SRGB_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
D50_XY = (0.34567, 0.35850)
PUBLISHED = {
    "Display P3": (PRIMARIES[12], DISPLAY_P3_XYZ),
    "Adobe RGB": ((0.3127, 0.3290, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), ADOBE_RGB_XYZ),
    "ProPhoto": ((*D50_XY, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001), PROPHOTO_XYZ),
}
IMPOSSIBLE = {
    "zero": (0.0,) * 8,
    "on a line": (0.3127, 0.329, 0.6, 0.3, 0.4, 0.2, 0.2, 0.1),
    "infinite": (float("inf"),) * 8,
    "too few": (0.3127, 0.329),
}
LINEAR = np.linspace(0, 1, 256)


def test_the_matrix_of_srgb_is_the_published_one():
    assert xyz_matrix(SRGB_CHROMATICITIES) == pytest.approx(np.array(SRGB_XYZ), abs=3e-4)


@pytest.mark.parametrize(("chromaticities", "expected"), PUBLISHED.values(), ids=PUBLISHED)
def test_adapted_matrices_are_the_published_ones(chromaticities, expected):
    assert adapt_to_d50(xyz_matrix(chromaticities)) == pytest.approx(np.array(expected), abs=5e-4)


@pytest.mark.parametrize("chromaticities", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_chromaticities_are_refused(chromaticities):
    with pytest.raises(ValueError, match=r"chromaticities|reshape"):
        xyz_matrix(chromaticities)


@pytest.mark.parametrize("code_point", PRIMARIES)
def test_littlecms_reads_the_profile_and_keeps_greys(code_point):
    icc = matrix_profile(PRIMARIES[code_point], LINEAR)
    source = ImageCms.ImageCmsProfile(BytesIO(icc))
    assert (source.profile.xcolor_space, source.profile.connection_space) == ("RGB ", "XYZ ")
    assert source.profile.device_class == "mntr"
    levels = np.array([0, 55, 128, 255], np.uint8)
    greys = Image.fromarray(np.repeat(levels[None, :, None], 3, axis=2))
    shown = ImageCms.profileToProfile(greys, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    light = levels[:, None] / 255
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(np.asarray(shown)[0] - expected).max() <= 1


def test_numbers_have_16_bits_after_the_point():
    assert fixed_point((1, -0.5, 0.9642)) == bytes.fromhex("00010000 ffff8000 0000f6d6")


@pytest.mark.parametrize("number", [32_768, -40_000, float("nan"), float("inf")])
def test_numbers_that_do_not_fit_are_refused(number):
    with pytest.raises(ValueError, match="too large"):
        fixed_point((number,))
