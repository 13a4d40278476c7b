import base64
import struct

import pytest
from PIL import ImageCms

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decode import decode
from app.images.readers.jpeg import read_header
from tests.app.image_files import encoded
from tests.app.images.readers.jpeg_files import OPTIONS, ramps, segment

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MISSING = "end_marker_missing"


JPEG_LS = base64.b64decode(
    "/9j/6AAgU1BJRkYAAgAAAwAAAAgAAAAICggGAQAAASwAAAEs/+gACAAAAAH/2P/3ABEIAAgACAMBEQACEQADEQD/2gAMAwEAAgADAAACAIAASB4A"
    "A8AVzctbVjxW7VOmAAAAnYDTYBrRyyapMUFvlJ4BoAARL5Dz3nPNda6xacnWOsdY47juO46w1cdxm2bZtm2bZsxbZtm2bZtm1bVotaVpXK5XK5XK"
    "4pZVyuVyuVzc3Ej/2Q=="
)


def reframed(marker: int = 0xC0, bits: int = 8, size: tuple[int, int] = (64, 48), components: int = 3) -> bytes:
    """Returns a JPEG whose frame header is replaced."""
    data = encoded(ramps(), "JPEG")
    start = data.index(b"\xff\xc0")
    end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    body = struct.pack(">BHHB", bits, *size[::-1], components) + data[start + 10 : end].ljust(3 * components, b"\1")
    return data[:start] + segment(marker, body[: 6 + 3 * components]) + data[end:]


NOT_SUPPORTED = {
    "12-bit JPEG is not supported. Save it with 8 bits per sample.": reframed(bits=12),
    "16-bit JPEG is not supported. Save it with 8 bits per sample.": reframed(0xC3, bits=16),
    "JPEG-LS is not supported. Save it as baseline or progressive JPEG.": JPEG_LS,
    "Hierarchical JPEG is not supported.": reframed(0xDE),
    "Lossless arithmetic JPEG is not supported.": reframed(0xCB),
    "A JPEG with 2 components is not supported. Save it as RGB or grey.": reframed(components=2),
    "A JPEG that declares its height after its pixels is not supported. Save it again.": (
        reframed(size=(64, 0))[:-2] + segment(0xDC, b"\0\x30") + b"\xff\xd9"
    ),
}


@pytest.mark.parametrize(("message", "data"), NOT_SUPPORTED.items(), ids=NOT_SUPPORTED)
def test_codings_that_are_not_supported_are_named_with_a_remedy(message, data):
    for function in (read_header, lambda data: decode(data, OPTIONS)):
        with pytest.raises(UnsupportedMediaType) as raised:
            function(data)
        assert str(raised.value).startswith(message)


@pytest.mark.parametrize("marker", [0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF])
def test_all_hierarchical_codings_are_named(marker):
    with pytest.raises(UnsupportedMediaType, match="Hierarchical JPEG"):
        decode(reframed(marker), OPTIONS)


@pytest.mark.parametrize("size", [(0, 48), (64, 0), (0, 0)])
def test_a_size_of_zero_is_damage(size):
    with pytest.raises(InvalidImage, match="declares"):
        decode(reframed(size=size), OPTIONS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xd8\xff", "truncated"),
        (b"\xff\xd8\xff\xd9", "damaged: it has no frame header"),
        (b"\xff\xd8" + segment(0xDA, bytes(10)), "damaged: it has no frame header"),
        (b"\xff\xd8" + segment(0xC0, bytes(5)), "damaged: its frame header is too short"),
        (b"\xff\xd8" + segment(0xC0, b"\x08\0\x10\0\x10\1\1\x11\0"), "truncated"),
        (b"\xff\xd8" + segment(0xC0, b"\x08\0\x10\0\x10\1\1\x11\0") + b"\xff\xd9", "damaged: it has no pixels"),
    ],
)
def test_a_jpeg_without_pixels_is_an_error(data, message):
    with pytest.raises(InvalidImage, match=message):
        decode(data, OPTIONS)
