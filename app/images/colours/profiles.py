"""Converts colours to sRGB as the file describes them.

Pillow's ImageCms (LittleCMS) converts by ICC profiles, with the rendering intent that the profile declares and with
black point compensation: the profile's white becomes white and its darkest colour becomes black, as in most image
viewers. CICP code points and PNG's gamma are converted by profiles made here; `tone_mapping` converts PQ and HLG.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from app.images.colours.made_profiles import PRIMARIES, SRGB_CHROMATICITIES, matrix_profile
from app.images.colours.tone_mapping import tone_mapping
from app.images.colours.transfer_curves import CURVES, HDR, SRGB, UNSPECIFIED, light_of_codes, power
from app.images.raster import CICP, ColourSpace

Convert = Callable[[Image.Image], Image.Image]

FROM_ICC, FROM_CICP, TONE_MAPPED = "converted_from_icc", "converted_from_cicp", "tone_mapped"
IGNORED = "colour_profile_ignored"

MAX_PROFILE_BYTES = 4_000_000  # the largest press profiles have about 3 MB
CACHED_PROFILES = 8  # the cache holds the bytes too
SAME_LEVELS = 2  # a profile that changes no channel by more is sRGB

# Pillow's modes -> the samples without alpha and palette. All other modes have RGB samples.
SAMPLES = {"1": "L", "L": "L", "LA": "L", "La": "L", "CMYK": "CMYK", "LAB": "LAB"}
# A profile's colour space -> Pillow's mode
PROFILE_MODES = {"GRAY": "L", "RGB ": "RGB", "CMYK": "CMYK", "Lab ": "LAB"}
FITTING = {("L", "L"), ("L", "RGB"), ("RGB", "RGB"), ("CMYK", "CMYK"), ("LAB", "LAB")}  # samples and profile's mode

# Every 15th code of each channel: all greys that are multiples of 15, and the corners of the RGB cube.
PROBES = Image.fromarray(
    np.stack(np.meshgrid(*3 * [np.arange(0, 256, 15).astype(np.uint8)]), axis=-1).reshape(-1, 18, 3)
)
GREY_PROBES = Image.linear_gradient("L").crop((0, 0, 1, 256))


class Conversion(NamedTuple):
    """A function from an image without alpha (L, RGB, CMYK or LAB) to RGB in sRGB, or None, and its notes."""

    convert: Convert | None = None
    notes: tuple[str, ...] = ()


def colour_conversion(mode: str, colour_space: ColourSpace, *, enabled: bool) -> Conversion:
    """Returns how to convert an image of this Pillow mode, which may include alpha, to sRGB.

    The first of CICP, ICC and gamma that the file has and that can be used describes the colours. Others that come
    before it are ignored with a note.

    Args:
        mode: Pillow's mode of the decoded image.
        colour_space: How the file describes its colours.
        enabled: Whether to convert colours that could be shown without a conversion.
    """
    samples = SAMPLES.get(mode, "RGB")
    found, notes = Conversion(), []
    for describe in (cicp_conversion, icc_conversion, gamma_conversion) if enabled else ():
        try:
            described = describe(samples, colour_space)
        except (ValueError, OSError, struct.error, ImageCms.PyCMSError):
            notes.append(IGNORED)
            continue
        if described:
            found = described
            break
    if samples == "LAB" and not found.convert:
        found = Conversion(lab_transform().apply)
    return Conversion(found.convert, (*dict.fromkeys(notes), *found.notes))


def cicp_conversion(samples: str, colour_space: ColourSpace) -> Conversion | None:
    """Returns the conversion by CICP code points, or None if the file has none or does not specify them.

    Of two code points, one that is not specified is that of sRGB.

    Raises:
        ValueError: The code points are not known, or do not fit the samples.
    """
    cicp = colour_space.cicp
    if cicp is None or (cicp.primaries, cicp.transfer) == (UNSPECIFIED, UNSPECIFIED):
        return None
    primaries = 1 if cicp.primaries == UNSPECIFIED else cicp.primaries
    transfer = SRGB if cicp.transfer == UNSPECIFIED else cicp.transfer
    if primaries not in PRIMARIES or transfer not in CURVES or cicp.matrix != 0 or samples not in ("L", "RGB"):
        raise ValueError("These code points cannot be used.")
    if transfer in HDR:
        return Conversion(tone_mapping(primaries, transfer, full_range=cicp.full_range), (FROM_CICP, TONE_MAPPED))
    light = light_of_codes(CURVES[transfer], full_range=cicp.full_range)
    convert = icc_transform(samples, matrix_profile(PRIMARIES[primaries], light))
    return Conversion(convert, (FROM_CICP,) if convert else ())


def icc_conversion(samples: str, colour_space: ColourSpace) -> Conversion | None:
    """Returns the conversion by an ICC profile, or None if the file has none.

    Raises:
        ValueError, OSError, PyCMSError: The profile is broken, or is for other samples.
    """
    icc = colour_space.icc
    if icc is None:
        return None
    if not 0 < len(icc) <= MAX_PROFILE_BYTES:
        raise ValueError("The profile is empty or too large.")
    tag = cicp_tag(icc)
    if tag and tag.transfer in HDR and tag.primaries in PRIMARIES and samples in ("L", "RGB"):
        return Conversion(tone_mapping(tag.primaries, tag.transfer, full_range=True), (FROM_ICC, TONE_MAPPED))
    convert = icc_transform(samples, icc)
    return Conversion(convert, (FROM_ICC,) if convert else ())


def gamma_conversion(samples: str, colour_space: ColourSpace) -> Conversion | None:
    """Returns the conversion by PNG's gAMA and cHRM chunks, or None if the file has neither.

    A gamma within 5% of 1/2.2 with sRGB's chromaticities is sRGB, whose curve it approximates. Chromaticities without
    a gamma do not define the colours.

    Raises:
        ValueError: The values are absurd, or do not define the colours.
    """
    gamma, chromaticities = colour_space.gamma, colour_space.chromaticities or SRGB_CHROMATICITIES
    if gamma is None and colour_space.chromaticities is None:
        return None
    other_primaries = not np.allclose(chromaticities, SRGB_CHROMATICITIES, rtol=0, atol=0.005)
    if samples not in ("L", "RGB") or (gamma is None and other_primaries):
        raise ValueError("The chromaticities have no gamma, or the samples are neither grey nor RGB.")
    if gamma is None or (abs(gamma * 2.2 - 1) <= 0.05 and not other_primaries):
        return Conversion()
    if not 0.01 <= gamma <= 100:  # libpng's limits
        raise ValueError("The gamma is absurd.")
    profile = matrix_profile(chromaticities, light_of_codes(power(1 / gamma)))
    convert = icc_transform(samples, profile)
    return Conversion(convert, (FROM_ICC,) if convert else ())


def cicp_tag(icc: bytes) -> CICP | None:
    """Returns the code points that an RGB profile carries, or None. Profiles of HDR images have them."""
    if icc[16:20] != b"RGB ":
        return None
    (tags,) = struct.unpack_from(">I", icc, 128)
    for entry in range(min(tags, 100)):  # LittleCMS reads at most 100 tags
        name, offset, size = struct.unpack_from(">4sII", icc, 132 + 12 * entry)
        if name == b"cicp" and size >= 12 and icc[offset : offset + 4] == b"cicp":
            return CICP(*struct.unpack_from(">BB", icc, offset + 8))
    return None


@lru_cache(CACHED_PROFILES)
def icc_transform(samples: str, icc: bytes) -> Convert | None:
    """Returns the conversion from a profile to sRGB, or None if the profile is sRGB.

    An RGB profile may describe grey samples, as in browsers: grey JPEGs often have one.

    Raises:
        ValueError, OSError, PyCMSError: The profile is broken, or is for other samples.
    """
    source = ImageCms.ImageCmsProfile(BytesIO(icc))
    mode = PROFILE_MODES.get(source.profile.xcolor_space, "")
    if (samples, mode) not in FITTING:
        raise ValueError("The profile is for other samples.")
    transform = build_transform(source, mode, rendering_intent(source))
    if samples not in ("L", "RGB"):
        return transform.apply

    def convert(image: Image.Image) -> Image.Image:
        return transform.apply(image if image.mode == mode else image.convert(mode))

    probes = GREY_PROBES if samples == "L" else PROBES
    before, after = np.asarray(probes.convert("RGB"), int), np.asarray(convert(probes), int)
    return convert if np.abs(after - before).max() > SAME_LEVELS else None


def rendering_intent(source: ImageCms.ImageCmsProfile) -> int:
    """Returns the intent that a profile declares, or perceptual if it has no colours for it.

    Absolute colorimetric would show the colour of the paper: it is replaced by relative colorimetric.
    """
    profile = source.profile
    declared = profile.rendering_intent
    if declared == ImageCms.Intent.ABSOLUTE_COLORIMETRIC:
        declared = ImageCms.Intent.RELATIVE_COLORIMETRIC
    known = declared in list(ImageCms.Intent) and profile.is_intent_supported(declared, ImageCms.Direction.INPUT)
    return declared if known else ImageCms.Intent.PERCEPTUAL


@lru_cache(1)
def lab_transform() -> ImageCms.ImageCmsTransform:
    """Returns the conversion from CIE Lab under D50 to sRGB.

    It is computed for each pixel: LittleCMS's table of Lab colours is wrong by up to 40 levels near the edge of sRGB.
    """
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return build_transform(lab, "LAB", ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.NOOPTIMIZE)


def build_transform(
    source: ImageCms.ImageCmsProfile, mode: str, intent: int, flags: ImageCms.Flags = ImageCms.Flags.NONE
) -> ImageCms.ImageCmsTransform:
    """Returns the conversion from a profile to sRGB.

    Raises:
        PyCMSError: The profile is broken.
    """
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    flags |= ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, srgb, mode, "RGB", ImageCms.Intent(intent), flags)
