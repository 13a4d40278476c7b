import pytest

from app.errors import UnsupportedMediaType
from app.images.readers.jpeg_xl_header import JpegXlHeader, read_jpeg_xl_header
from tests.app.images.readers.heif_files import box
from tests.app.images.readers.jpeg_xl_files import (
    ALPHA,
    ANIMATED,
    CONTAINER,
    SIGNATURE,
    colours,
    enum,
    header,
    packed,
    side,
    size,
)

SIDES = size(37, 20)
PLAIN = JpegXlHeader(37, 20)


def channel(kind: int, *more: tuple[int, int], name: str = "") -> list[tuple[int, int]]:
    """Returns a channel of 8 bits with all fields."""
    letters = [(ord(letter), 8) for letter in name]
    length = [(1, 2), (len(name), 4)] if name else [(0, 2)]
    return [(0, 1), *enum(kind), (0, 1), (0, 2), (0, 2), *length, *letters, *more]


@pytest.mark.parametrize(
    ("sides", "expected"),
    [
        (size(37, 20), (37, 20)),
        (size(512, 513), (512, 513)),
        (size(8_193, 262_145), (8_193, 262_145)),
        (size(2**30, 1), (2**30, 1)),
        ([(1, 1), (4, 5), (0, 3), (9, 5)], (80, 40)),
        ([(1, 1), (4, 5), (1, 3)], (40, 40)),
        ([(1, 1), (4, 5), (2, 3)], (48, 40)),
        ([(1, 1), (4, 5), (3, 3)], (53, 40)),
        ([(1, 1), (4, 5), (4, 3)], (60, 40)),
        ([(1, 1), (4, 5), (5, 3)], (71, 40)),
        ([(1, 1), (4, 5), (6, 3)], (50, 40)),
        ([(0, 1), *side(999), (7, 3)], (1_998, 999)),
    ],
)
def test_sizes(sides, expected):
    assert read_jpeg_xl_header(header(sides)) == JpegXlHeader(*expected)
    assert read_jpeg_xl_header(SIGNATURE + packed(*sides, (1, 1))) == JpegXlHeader(*expected)  # all else is default


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations(orientation):
    found = read_jpeg_xl_header(header(SIDES, orientation=orientation))
    assert found == PLAIN._replace(orientation=orientation)


@pytest.mark.parametrize(
    ("depth", "bits", "floating"),
    [
        ([(0, 1), (0, 2)], 8, False),
        ([(0, 1), (1, 2)], 10, False),
        ([(0, 1), (2, 2)], 12, False),
        ([(0, 1), (3, 2), (15, 6)], 16, False),
        ([(0, 1), (3, 2), (0, 6)], 1, False),
        ([(1, 1), (0, 2), (7, 4)], 32, True),
        ([(1, 1), (1, 2), (4, 4)], 16, True),
    ],
)
def test_depths(depth, bits, floating):
    assert read_jpeg_xl_header(header(SIDES, depth=depth)) == PLAIN._replace(bits=bits, floating=floating)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (ALPHA, {"extra_channels": 1, "alpha": True}),
        ([(1, 2), *channel(0, (0, 1))], {"extra_channels": 1, "alpha": True}),
        ([(1, 2), *channel(0, (1, 1))], {"extra_channels": 1, "alpha": True, "premultiplied": True}),
        ([(1, 2), *channel(1, name="depth")], {"extra_channels": 1}),
        ([(1, 2), *channel(2, *[(0, 16)] * 4)], {"extra_channels": 1}),
        ([(1, 2), *channel(5, (0, 2))], {"extra_channels": 1}),
        (
            [(2, 2), (0, 4), *channel(1), *channel(0, (1, 1))],
            {"extra_channels": 2, "alpha": True, "premultiplied": True},
        ),
        ([(2, 2), (0, 4), *channel(0, (0, 1)), *channel(0, (1, 1))], {"extra_channels": 2, "alpha": True}),
    ],
)
def test_channels_in_addition_to_the_colours(fields, expected):
    found = read_jpeg_xl_header(header(SIDES, colours(primaries=11), channels=fields))
    assert found._replace(chromaticities=PLAIN.chromaticities) == PLAIN._replace(**expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (colours(), {}),
        (colours(space=1), {"grey": True}),
        (colours(transfer=16), {"transfer": 16}),
        (colours(gamma=4_545_500), {"gamma": 0.45455}),
        (colours(primaries=9), {"chromaticities": (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)}),
        (colours(primaries=11), {"chromaticities": (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)}),
        (colours(white=11, primaries=11), {"chromaticities": (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)}),
        (colours(white=10), {"chromaticities": (1 / 3, 1 / 3, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)}),
        (
            colours(primaries=2, xy=(734_700, 265_300, 159_600, 1_840_400, 36_600, -100)),
            {"chromaticities": (0.3127, 0.329, 0.7347, 0.2653, 0.1596, 1.8404, 0.0366, -0.0001)},
        ),
        ([(0, 1), (1, 1), *enum(0)], {"has_icc": True}),
        ([(0, 1), (1, 1), *enum(1)], {"has_icc": True, "grey": True}),
    ],
)
def test_colours(fields, expected):
    assert read_jpeg_xl_header(header(SIDES, fields)) == PLAIN._replace(**expected)


@pytest.mark.parametrize(
    "preview",
    [
        [(0, 1), (1, 2), (5, 8), (0, 3), (0, 2), (5, 6)],
        [(0, 1), (3, 2), (5, 12), (1, 3)],
        [(1, 1), (0, 2), (0, 3), (3, 2), (5, 9)],
    ],
)
def test_a_preview_is_skipped(preview):
    data = header(SIDES, orientation=3, preview=preview, animation=ANIMATED)
    assert read_jpeg_xl_header(data) == PLAIN._replace(orientation=3, animated=True)


def test_the_codestream_may_be_inside_boxes():
    stream = header(SIDES, orientation=6)
    expected = PLAIN._replace(orientation=6)
    assert read_jpeg_xl_header(CONTAINER + box(b"Exif", bytes(9)) + box(b"jxlc", stream)) == expected
    parts = box(b"jxlp", b"\0\0\0\0", stream) + box(b"jxlp", b"\x80\0\0\1", b"more")
    assert read_jpeg_xl_header(CONTAINER + parts) == expected
    with_jpeg = CONTAINER + box(b"jbrd", b"x") + box(b"jxlc", stream)
    assert read_jpeg_xl_header(with_jpeg) == expected._replace(holds_jpeg=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (header(SIDES, channels=[(1, 2), *channel(4)]), "CMYK JPEG XL is not supported"),
        (header(SIDES, channels=[(3, 2), (99, 12)]), "more than 16 extra channels is not supported"),
        (header(SIDES, [(0, 1), (0, 1), *enum(2)]), "XYB is not supported"),
    ],
)
def test_unsupported_variants_are_named(data, message):
    with pytest.raises(UnsupportedMediaType, match=message):
        read_jpeg_xl_header(data)


@pytest.mark.parametrize("data", [SIGNATURE, CONTAINER, CONTAINER + box(b"jxlc", SIGNATURE + b"\0")])
def test_truncated_headers_are_an_error(data):
    with pytest.raises(EOFError):
        read_jpeg_xl_header(data)


def test_every_part_of_a_header_is_needed():
    data = header(SIDES, colours(primaries=2, xy=(640_000, 330_000) * 3), orientation=3)
    for length in range(2, len(data) - 2):
        with pytest.raises(EOFError):
            read_jpeg_xl_header(data[:length])


def test_a_wrong_signature_is_an_error():
    with pytest.raises(ValueError, match="signature"):
        read_jpeg_xl_header(CONTAINER + box(b"jxlc", b"??????"))
