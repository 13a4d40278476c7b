import base64
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.images.decode import decode
from app.images.raster import ColourSpace, Header, ReadOptions
from app.images.readers.jpeg import read, read_header
from tests.app.image_files import encoded, plain_image
from tests.app.images.readers.jpeg_files import OPTIONS, pixels, ramps, segment, with_segments

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MISSING = "end_marker_missing"


# Codings that Pillow cannot write, 8 x 8 pixels: red grows to the right, green downwards, and blue both ways.
GRADIENT = np.stack(
    [np.tile(np.arange(8) * 30, (8, 1)), np.tile(np.arange(8) * 30, (8, 1)).T, np.add.outer(range(8), range(8)) * 15],
    axis=-1,
)
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
    "AQEBAQH/2wBDAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/yQARCAAIAAgD"
    "AREAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ANyd7szjR9HMSb2MuXjV2VXjMqlJm7tU8v10gu2h8yPV0ABaIsPMh9hMREVj7jxU"
    "NY6tNndSbE/g/9k="
)
ARITHMETIC_PROGRESSIVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
    "AQEBAQH/2wBDAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/ygARCAAIAAgD"
    "AREAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAf8AuUD/zAAEEAX/2gAIAQEAAQUCFnUMeID/zAAEEQX/2gAIAQMBAT8BFqGHEcr2kNojp6Hi"
    "MP/MAAQRBf/aAAgBAgEBPwEWNJU5scD/zAAEEAX/2gAIAQEABj8CFAGYJ47/zAAEEAX/2gAIAQEAAT8hpeRzwBj/2gAMAwEAAgADAAAAEGD/zAAE"
    "EQX/2gAIAQMBAT8Q0vIds12ywAA4/8wABBEF/9oACAECAQE/EFV0qnpegAWijMiA/8wABBAF/9oACAEBAAE/EEx6UI/JQ9OM/9k="
)
LOSSLESS = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/8MAEQgACAAIA1IRAEcRAEIRAP/EABcAAAMBAAAAAAAAAAAAAAAAAAAEBQj/2gAMA1IARwBCAAEAAM/5/wA/3h+8"
    "P3h+8P3h+8P3h8vP3h+8P3h+8P3h+8P3h8vP3h+8P3h+8P3h+8P3h8vP3h+8P3h+8P3h+8P3h8vP3h+8P3h+8P3h+8P3h8vP3h+8P3h+8P3h+8P3"
    "h8vP3h+8P3h+8P3h+8P3h8vP3h+8P3h+8P3h+8P3h/8A/9k="
)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [(LOSSLESS, 0), (ARITHMETIC, 3), (ARITHMETIC_PROGRESSIVE, 3)],
    ids=["lossless", "sequential", "progressive"],
)
def test_lossless_and_arithmetic_coding_are_read(data, tolerance):
    assert np.abs(pixels(data) - GRADIENT).max() <= tolerance
    assert np.abs(pixels(data, least_side=4).mean((0, 1)) - GRADIENT.mean((0, 1))).max() <= tolerance
    assert decode(data, OPTIONS).notes == []


# How colours are stored.
@pytest.mark.parametrize(
    ("mode", "options"),
    [("RGB", {}), ("RGB", {"keep_rgb": True}), ("RGB", {"progressive": True}), ("L", {}), ("L", {"progressive": True})],
)
def test_colours_are_those_of_the_original(mode, options):
    image = Image.fromarray(ramps()).convert(mode)
    data = encoded(image, "JPEG", quality=98, subsampling=0, **options)
    assert np.abs(pixels(data) - np.asarray(image.convert("RGB"))).max() <= 6
    assert decode(data, OPTIONS).notes == []


@pytest.mark.parametrize("adobe", [True, False], ids=["Adobe", "not Adobe"])
def test_cmyk_is_inverted_as_in_browsers(adobe):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, 8:] = (0, 200, 100, 0)  # the left half has no ink
    data = encoded(Image.fromarray(inks, "CMYK"), "JPEG", quality=98, subsampling=0)
    if not adobe:
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 16 :]
    image = read(data, ReadOptions()).image
    assert image.mode == "CMYK"
    assert np.abs(np.asarray(image).astype(int) - inks).max() <= 3
    assert "converted_from_cmyk" in read(data, ReadOptions()).notes


# What other segments may contain.
PLAIN = encoded(ramps(), "JPEG", quality=90)
EXIF_HEAD = b"Exif\0\0"
HARMLESS = {
    "garbage in EXIF": segment(0xE1, EXIF_HEAD + b"garbage"),
    "an empty EXIF": segment(0xE1, EXIF_HEAD),
    "EXIF whose directory is outside": segment(0xE1, EXIF_HEAD + b"MM\0*\xff\xff\xff\xff"),
    "EXIF whose directory is endless": segment(0xE1, EXIF_HEAD + b"MM\0*\0\0\0\x08\xff\xff"),
    "EXIF with a resolution of 0/0": segment(
        0xE1,
        EXIF_HEAD + b"MM\0*\0\0\0\x08\0\2\1\x1a\0\5\0\0\0\1\0\0\0\x26\1\x28\0\3\0\0\0\1\0\2\0\0\0\0\0\0" + bytes(8),
    ),
    "65,533 bytes of EXIF": segment(0xE1, EXIF_HEAD + bytes(65_527)),
    "ten thousand EXIF segments": segment(0xE1, EXIF_HEAD + b"MM\0*") * 10_000,
    "a short JFIF segment": segment(0xE0, b"JFIF\0"),
    "a short Adobe segment": segment(0xEE, b"Adobe"),
    "a broken Photoshop segment": segment(0xED, b"Photoshop 3.0\x008BIM\x03\xed"),
    "a broken MPF segment": segment(0xE2, b"MPF\0garbage"),
    "empty application segments": b"".join(segment(marker, b"") for marker in range(0xE0, 0xF0)),
    "a comment": segment(0xFE, bytes(range(256))),
    "a preview image": segment(0xE1, EXIF_HEAD + encoded(plain_image(), "JPEG")),
    "fill bytes": b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize("extra", HARMLESS.values(), ids=HARMLESS)
def test_other_segments_never_cost_the_image(extra):
    data = with_segments(PLAIN, extra)
    assert read_header(data) == Header(64, 48)
    assert (pixels(data) == pixels(PLAIN)).all()
    raster = read(data, ReadOptions())
    assert (raster.notes, raster.orientation, raster.colour_space) == ((), 1, ColourSpace())


def exif(order: str, value: int, kind: int = 3) -> bytes:
    magic = {"<": b"II", ">": b"MM"}[order]
    field = {3: "HH", 4: "I", 1: "BBH"}[kind]
    values = (value, *[0] * (len(field) - 1))
    return magic + struct.pack(order + "HIHHHI" + field + "I", 42, 8, 1, 274, kind, 1, *values, 0)


XMP = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<rdf:Description tiff:Orientation='8'/>")
ORIENTATIONS = {
    "little-endian": (segment(0xE1, EXIF_HEAD + exif("<", 6)), 6),
    "big-endian": (segment(0xE1, EXIF_HEAD + exif(">", 6)), 6),
    "32 bits, little-endian": (segment(0xE1, EXIF_HEAD + exif("<", 5, 4)), 5),
    "32 bits, big-endian": (segment(0xE1, EXIF_HEAD + exif(">", 5, 4)), 5),
    "8 bits": (segment(0xE1, EXIF_HEAD + exif(">", 7, 1)), 7),
    "0": (segment(0xE1, EXIF_HEAD + exif(">", 0)), 1),
    "9": (segment(0xE1, EXIF_HEAD + exif(">", 9)), 1),
    "the first of two": (segment(0xE1, EXIF_HEAD + exif(">", 3)) + segment(0xE1, EXIF_HEAD + exif("<", 6)), 3),
    "the second if the first is broken": (
        segment(0xE1, EXIF_HEAD + b"MM") + segment(0xE1, EXIF_HEAD + exif("<", 6)),
        6,
    ),
    "XMP": (XMP, 8),
    "EXIF before XMP": (XMP + segment(0xE1, EXIF_HEAD + exif("<", 6)), 6),
}


@pytest.mark.parametrize(("extra", "expected"), ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_the_orientation_is_read(extra, expected):
    assert read(with_segments(PLAIN, extra), ReadOptions()).orientation == expected


def profile_piece(number: int, count: int, piece: bytes) -> bytes:
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, count]) + piece)


THIRDS = [PROFILE[:1_000], PROFILE[1_000:1_500], PROFILE[1_500:]]
PIECES = {
    "one piece": ([profile_piece(1, 1, PROFILE)], PROFILE),
    "three pieces": ([profile_piece(number, 3, piece) for number, piece in enumerate(THIRDS, 1)], PROFILE),
    "three pieces in another order": (
        [profile_piece(number, 3, piece) for number, piece in reversed(list(enumerate(THIRDS, 1)))],
        PROFILE,
    ),
    "a piece is missing": ([profile_piece(1, 3, THIRDS[0]), profile_piece(3, 3, THIRDS[2])], None),
    "the last piece is missing": ([profile_piece(1, 3, THIRDS[0]), profile_piece(2, 3, THIRDS[1])], None),
    "a piece twice": ([profile_piece(1, 2, THIRDS[0]), profile_piece(1, 2, THIRDS[0])], None),
    "numbers from 0": ([profile_piece(number, 3, piece) for number, piece in enumerate(THIRDS)], None),
    "counts differ": ([profile_piece(1, 2, THIRDS[0]), profile_piece(2, 3, THIRDS[1])], None),
    "no number": ([segment(0xE2, b"ICC_PROFILE\0")], None),
}


@pytest.mark.parametrize(("pieces", "expected"), PIECES.values(), ids=PIECES)
def test_a_profile_is_joined_from_its_pieces_or_ignored_and_noted(pieces, expected):
    raster = read(with_segments(PLAIN, *pieces), ReadOptions())
    assert raster.colour_space == ColourSpace(icc=expected)
    assert raster.notes == (() if expected else ("colour_profile_ignored",))


def test_the_header_is_that_of_the_image_and_not_of_its_preview():
    preview = segment(0xE1, EXIF_HEAD + encoded(plain_image(), "JPEG"))
    assert read_header(with_segments(PLAIN, preview)) == Header(64, 48)
