"""Which values of a TIFF are black and white follows from the type, or from a tag, or the file is refused."""

import numpy as np
import pytest

from app.errors import InvalidImage
from app.images.raster import ReadOptions
from app.images.readers.tiff import read
from tests.app.images.readers.tiff_files import Layout, tiff_file

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
MAX, S_MIN, S_MAX = 281, 340, 341  # MaxSampleValue, SMinSampleValue, SMaxSampleValue
SHORT, SIGNED_SHORT, SIGNED_LONG, SINGLE, DOUBLE = 3, 8, 9, 11, 12


def grey_file(values: list[float], sample_format: int, bits: int, tags: dict, **more: object) -> bytes:
    kind = {UNSIGNED: "u", SIGNED: "i", FLOAT: "f"}[sample_format]
    samples = np.array(values, f"{kind}{(bits + 7) // 8}").reshape(1, -1, 1)
    return tiff_file(samples, Layout(bits=bits, sample_format=sample_format, **more), tags)


RANGES = {
    "16 bits": (UNSIGNED, 16, {}, [0, 255, 256, 65535], [0, 0, 1, 255]),
    "12 bits in 16": (UNSIGNED, 16, {MAX: (SHORT, [4095])}, [0, 15, 16, 2048, 4095], [0, 0, 1, 128, 255]),
    "10 bits in 16": (UNSIGNED, 16, {MAX: (SHORT, [1023])}, [0, 3, 4, 1023], [0, 0, 1, 255]),
    "8 bits in 16": (UNSIGNED, 16, {MAX: (SHORT, [255])}, [0, 1, 255], [0, 1, 255]),
    "12 bits in 32": (UNSIGNED, 32, {MAX: (SHORT, [4095])}, [0, 16, 4095], [0, 1, 255]),
    "16 bits in 32": (UNSIGNED, 32, {MAX: (SHORT, [65535])}, [0, 256, 65535], [0, 1, 255]),
    "a maximum that is only statistics": (UNSIGNED, 16, {MAX: (SHORT, [4000])}, [0, 256, 4000], [0, 1, 15]),
    "a maximum that is not kept": (UNSIGNED, 16, {MAX: (SHORT, [4095])}, [0, 256, 65535], [0, 1, 255]),
    "a range of unsigned 16 bits": (UNSIGNED, 16, {S_MIN: (SHORT, [9]), S_MAX: (SHORT, [99])}, [0, 65535], [0, 255]),
    "signed 8 bits": (SIGNED, 8, {}, [0, 64, 127], [0, 129, 255]),
    "signed 16 bits": (SIGNED, 16, {}, [0, 127, 128, 32767], [0, 0, 1, 255]),
    "dark signed 16 bits": (SIGNED, 16, {}, [0, 1000], [0, 7]),
    "12 bits in signed 16": (SIGNED, 16, {MAX: (SHORT, [4095])}, [0, 16, 4095], [0, 1, 255]),
    "signed 8 bits with their range": (
        SIGNED,
        8,
        {S_MIN: (SIGNED_SHORT, [-128]), S_MAX: (SIGNED_SHORT, [127])},
        [-128, 0, 127],
        [0, 128, 255],
    ),
    "signed 16 bits with their range": (
        SIGNED,
        16,
        {S_MIN: (SIGNED_SHORT, [-32768]), S_MAX: (SIGNED_SHORT, [32767])},
        [-32768, -32513, -32512, 0, 32767],
        [0, 0, 1, 128, 255],
    ),
    "elevation with its range": (
        SIGNED,
        16,
        {S_MIN: (DOUBLE, [-400.0]), S_MAX: (DOUBLE, [8848.0])},
        [-400, 8848],
        [0, 255],
    ),
    "32 bits": (UNSIGNED, 32, {}, [0, 1 << 24, (1 << 32) - 1], [0, 1, 255]),
    "signed 32 bits": (SIGNED, 32, {}, [0, 1 << 23, (1 << 31) - 1], [0, 1, 255]),
    "64 bits": (UNSIGNED, 64, {}, [0, 1 << 56, (1 << 64) - 1], [0, 1, 255]),
    "32 bits with their range": (
        SIGNED,
        32,
        {S_MIN: (SIGNED_LONG, [0]), S_MAX: (SIGNED_LONG, [99_999])},
        [0, 50_000, 99_999],
        [0, 128, 255],
    ),
    "a range of few levels": (SIGNED, 32, {S_MIN: (SHORT, [0]), S_MAX: (SHORT, [100])}, [0, 50, 100], [0, 128, 255]),
    "floats": (FLOAT, 32, {}, [0, 0.5, 1], [0, 128, 255]),
    "half floats": (FLOAT, 16, {}, [0, 0.25, 1], [0, 64, 255]),
    "floats with their range": (
        FLOAT,
        32,
        {S_MIN: (SINGLE, [-1.0]), S_MAX: (SINGLE, [1.0])},
        [-1, 0, 1],
        [0, 128, 255],
    ),
    "doubles with their range": (
        FLOAT,
        64,
        {S_MIN: (DOUBLE, [0.0]), S_MAX: (DOUBLE, [4000.0])},
        [0, 1000, 4000],
        [0, 64, 255],
    ),
}


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize(("sample_format", "bits", "tags", "values", "expected"), RANGES.values(), ids=RANGES)
def test_values_are_scaled_to_8_bits(sample_format, bits, tags, values, expected, white_is_zero):
    raster = read(grey_file(values, sample_format, bits, tags, photometric=1 - white_is_zero), ReadOptions())
    assert np.asarray(raster.image)[0].tolist() == [255 - level if white_is_zero else level for level in expected]


UNKNOWN = {
    "elevation below the sea": (SIGNED, 16, {}, [-3, 0, 4000], "negative integers"),
    "signed 8 bits": (SIGNED, 8, {}, [-128, 127], "negative integers"),
    "elevation in 32 bits": (SIGNED, 32, {}, [0, 4000], "32-bit integers that use less than half"),
    "elevation in 32 bits below the sea": (SIGNED, 32, {}, [-10_000, 4000], "negative integers"),
    "counts in 32 bits": (UNSIGNED, 32, {}, [0, 70_000], "32-bit integers that use less than half"),
    "zeros in 64 bits": (UNSIGNED, 64, {}, [0, 0], "64-bit integers that use less than half"),
    "integers outside their range": (
        SIGNED,
        16,
        {S_MIN: (SIGNED_SHORT, [-10]), S_MAX: (SIGNED_SHORT, [10])},
        [-11, 10],
        "not all between -10 and 10",
    ),
    "elevation in floats": (FLOAT, 32, {}, [0, 4000], "not all between 0 and 1"),
    "elevation in doubles": (FLOAT, 64, {}, [0, 4000], "not all between 0 and 1"),
    "elevation in half floats": (FLOAT, 16, {}, [0, 4000], "not all between 0 and 1"),
    "negative floats": (FLOAT, 32, {}, [-0.1, 1], "not all between 0 and 1"),
    "not a number": (FLOAT, 32, {}, [0, np.nan], "not all between 0 and 1"),
    "infinity": (FLOAT, 32, {}, [0, np.inf], "not all between 0 and 1"),
    "floats outside their range": (FLOAT, 32, {S_MIN: (SINGLE, [0]), S_MAX: (SINGLE, [2])}, [0, 3], "between 0 and 2"),
    "a range without width": (FLOAT, 32, {S_MIN: (SINGLE, [5]), S_MAX: (SINGLE, [5])}, [5, 5], "between 0 and 1"),
}


@pytest.mark.parametrize(("sample_format", "bits", "tags", "values", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_range_is_refused(sample_format, bits, tags, values, message):
    with pytest.raises(InvalidImage, match=message) as caught:
        read(grey_file(values, sample_format, bits, tags), ReadOptions())
    assert "SMinSampleValue and SMaxSampleValue" in caught.value.detail


def test_alpha_has_its_own_range():
    samples = np.array([[[0, 0], [25500, 1], [25500, 0.5]]], np.float32)
    tags = {S_MIN: (SINGLE, [0, 0]), S_MAX: (SINGLE, [25500, 1])}
    raster = read(tiff_file(samples, Layout(1, 32, FLOAT, (2,)), tags), ReadOptions())
    assert np.asarray(raster.image).tolist() == [[[0, 0], [255, 255], [255, 128]]]


def test_colours_of_different_ranges_keep_their_proportion():
    samples = np.array([[[1, 2, 4], [0, 0, 0]]], np.float32)
    tags = {S_MIN: (SINGLE, [0, 0, 0]), S_MAX: (SINGLE, [1, 2, 4])}
    raster = read(tiff_file(samples, Layout(2, 32, FLOAT), tags), ReadOptions())
    assert np.asarray(raster.image).tolist() == [[[64, 128, 255], [0, 0, 0]]]


def test_an_ignored_sample_may_have_any_value():
    samples = np.array([[[1, -7], [0, 99]]], np.float32)
    raster = read(tiff_file(samples, Layout(1, 32, FLOAT, (0,))), ReadOptions())
    assert np.asarray(raster.image).tolist() == [[255, 0]]
