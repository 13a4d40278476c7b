"""Converts the samples of a TIFF to 8 bits. Which values are black and white follows from their type or from tags."""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidImage
from app.images.readers.tiff_page import FLOAT, UNSIGNED, Page

STRIP_SAMPLES = 1_000_000  # are converted at a time, to limit temporary copies

DECLARE = "Declare them in the tags SMinSampleValue and SMaxSampleValue, or save the image with 8 bits per sample."


class Range(NamedTuple):
    """The values that are black and white."""

    black: float
    white: float


def to_8_bits(samples: NDArray[np.generic], page: Page, first: int, out: NDArray[np.uint8]) -> None:
    """Writes samples with 8 bits to `out`.

    Args:
        samples: [height, width, samples], a part of the page's samples that has a common range.
        page: How they are stored.
        first: The index of the first of them in a pixel.
        out: An array of the same shape.

    Raises:
        InvalidImage: It is not known which values are black and white, or samples are outside this range.
    """
    rows = max(1, STRIP_SAMPLES // (samples.shape[1] * samples.shape[2]))
    used = (float_range if page.sample_format == FLOAT else integer_range)(samples, page, first)
    for top in range(0, len(samples), rows):
        out[top : top + rows] = scaled(samples[top : top + rows], used)


def scaled(samples: NDArray[np.generic], used: Range) -> NDArray[np.uint8]:
    """Returns samples within a range as 8 bits. Integers of more than 8 bits keep the high ones, as usual."""
    black, white = used
    if samples.dtype.kind == "f":
        return np.rint((samples.astype(np.float64) - black) * 255 / (white - black)).astype(np.uint8)
    levels = int(white) - int(black) + 1
    if levels < 256:
        return np.rint((samples.astype(np.float64) - black) * 255 / (levels - 1)).astype(np.uint8)
    if black == 0 and levels & (levels - 1) == 0:
        integers = cast("NDArray[np.integer]", samples)
        return (integers >> (levels.bit_length() - 9)).astype(np.uint8)
    shares = (samples.astype(np.float64) - black) * (256 / levels)
    return np.minimum(shares, 255).astype(np.uint8)


def declared_range(page: Page, first: int) -> Range | None:
    """Returns the range that SMinSampleValue and SMaxSampleValue declare, or None."""
    if page.declared is None:
        return None
    low, high = (values[first if len(values) > 1 else 0 :] for values in page.declared)
    last = page.colours - first if first < page.colours else 1
    used = Range(float(low[:last].min()), float(high[:last].max()))
    return used if used.white > used.black else None


def integer_range(samples: NDArray[np.generic], page: Page, first: int) -> Range:
    """Returns the range of integers. Raises `InvalidImage` if it is not known."""
    least, most = int(samples.min()), int(samples.max())
    full = (1 << page.bits - (page.sample_format != UNSIGNED)) - 1
    used = (1 << page.bits_used) - 1
    if page.bits_used < page.bits and least >= 0 and most <= used:
        return Range(0, used)
    if page.sample_format == UNSIGNED and page.bits <= 16:
        return Range(0, full)
    declared = declared_range(page, first)
    if declared is not None:
        if declared.black <= least and most <= declared.white:
            return declared
        raise InvalidImage(
            f"The TIFF's integers are not all between {declared.black:g} and {declared.white:g}, which it declares as "
            "SMinSampleValue and SMaxSampleValue. Correct these tags, or save the image with 8 bits per sample."
        )
    if least < 0:
        raise InvalidImage(f"The TIFF has negative integers, which have no defined white and black. {DECLARE}")
    if page.bits > 16 and most <= full // 2:
        raise InvalidImage(
            f"The TIFF has {page.bits}-bit integers that use less than half of their range, so they have no defined "
            f"white and black. {DECLARE}"
        )
    return Range(0, full)


def float_range(samples: NDArray[np.generic], page: Page, first: int) -> Range:
    """Returns the range of floats. Raises `InvalidImage` if some of them are outside, or not a number."""
    used = declared_range(page, first) or Range(0, 1)
    if not (samples.min() >= used.black and samples.max() <= used.white):  # NaN is neither
        raise InvalidImage(
            f"The float pixels are not all between {used.black:g} and {used.white:g}. "
            "Scale them to 0..1, or declare their range in the tags SMinSampleValue and SMaxSampleValue."
        )
    return used
