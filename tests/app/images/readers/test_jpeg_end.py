"""JPEG files whose end is missing."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import InvalidImage
from app.images.decode import decode
from tests.app.image_files import BLUE, GREEN, RED, encoded, plain_image
from tests.app.images.readers.jpeg_files import OPTIONS, noise, pixels, ramps, scan_data

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MISSING = "end_marker_missing"


PLAIN = encoded(ramps(), "JPEG", quality=90)

# The end of the file.
ENCODINGS = {
    f"{name}, {kind}, quality {quality}": encoded(image, "JPEG", quality=quality, **options)
    for name, image in {
        "ramps": ramps(),
        "noise": noise(),
        "red": plain_image(RED, 32),
        "grey": ramps()[..., 0],
    }.items()
    for quality in (75, 95)
    for kind, options in {
        "baseline": {},
        "baseline, full chroma": {"subsampling": 0},
        "baseline, optimized": {"optimize": True},
        "baseline, restart markers": {"restart_marker_blocks": 2},
        "progressive": {"progressive": True},
        "progressive, restart markers": {"progressive": True, "restart_marker_blocks": 2},
    }.items()
}


@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS)
def test_a_missing_or_overwritten_end_marker_is_noted_and_costs_nothing(data):
    assert decode(data, OPTIONS).notes == []
    for faulty in (data[:-2], data[:-1], data[:-1] + b"\0", data[:-2] + b"\0\0"):
        image = decode(faulty, OPTIONS)
        assert image.notes == [MISSING]
        assert (np.asarray(image.rgb) == pixels(data)).all()


@pytest.mark.parametrize("least_side", [None, 8])
def test_zeros_that_fill_a_block_of_a_disk_are_no_pixels(least_side):
    data = encoded(ramps(), "JPEG")
    faulty = data[:-2] + bytes(4096 - len(data) % 4096)
    assert decode(faulty, OPTIONS).notes == [MISSING]
    assert (pixels(faulty, least_side=least_side) == pixels(data, least_side=least_side)).all()


SHARP = {name: data for name, data in ENCODINGS.items() if not name.startswith("red")}


@pytest.mark.parametrize("data", SHARP.values(), ids=SHARP)
def test_a_file_whose_pixels_are_missing_is_truncated(data):
    rows = len(data) - scan_data(data)
    for missing in {max(rows // 2, 8), max(rows // 10, 7), 6 + rows // 50}:
        for faulty in (data[:-missing], data[:-missing] + b"\xff", data[:-missing] + bytes(missing + 300)):
            with pytest.raises(InvalidImage, match="The JPEG is truncated"):
                decode(faulty, OPTIONS)


def scan_starts(data: bytes) -> list[int]:
    """Returns where the scans begin, with the tables before them."""
    starts, position = [], 0
    while (position := data.find(b"\xff\xda", position)) > 0:
        starts.append(position)
        position += 2
    return starts


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_jpeg_needs_all_of_its_scans(mode):
    data = encoded(Image.fromarray(ramps()).convert(mode), "JPEG", progressive=True)
    starts = scan_starts(data)
    assert len(starts) >= 6
    for start in starts[1:]:
        tables = data.rfind(b"\xff\xc4", 0, start)
        end = tables if tables > 0 and tables > data.rfind(b"\xff\xda", 0, start) else start
        with pytest.raises(InvalidImage, match="The JPEG is truncated"):
            decode(data[:end], OPTIONS)


def test_a_file_that_ends_anywhere_before_its_pixels_is_truncated():
    data = encoded(ramps(), "JPEG", exif=Image.Exif())
    for length in range(3, scan_data(data), 7):
        with pytest.raises(InvalidImage, match="truncated"):
            decode(data[:length], OPTIONS)


def test_what_follows_the_end_marker_is_ignored():
    second = encoded(plain_image(BLUE), "JPEG")
    for tail in (b"PK\3\4 and a poem", bytes(100), second, b"\xff" * 5):
        assert (pixels(PLAIN + tail) == pixels(PLAIN)).all()
        assert decode(PLAIN + tail, OPTIONS).notes == []


def test_another_image_after_a_missing_end_marker_is_ignored():
    second = encoded(plain_image(BLUE), "JPEG")
    assert (pixels(PLAIN[:-2] + second) == pixels(PLAIN)).all()
    assert decode(PLAIN[:-2] + second, OPTIONS).notes == [MISSING]


def test_the_first_image_of_an_mpo_file_is_read():
    pair = encoded(plain_image(RED), "MPO", save_all=True, append_images=[Image.fromarray(plain_image(GREEN))])
    image = decode(pair, OPTIONS)
    assert np.abs(np.asarray(image.rgb).astype(int) - RED).max() <= 4
    assert (image.format, image.notes) == ("JPEG", [])
