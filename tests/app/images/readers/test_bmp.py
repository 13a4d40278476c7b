from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decode import decode
from app.images.raster import ColourSpace, Header, ReadOptions
from app.images.readers.bmp import read, read_header
from tests.app.image_files import encoded, quarters
from tests.app.images.readers.bmp_files import (
    HEIGHT,
    JPEG,
    MASKS,
    OPTIONS,
    PNG,
    RLE8,
    WIDTH,
    bmp_of,
    masked_rows,
    padded,
    pixels,
    values_of,
)

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def test_the_profile_of_a_v5_header_is_handed_over():
    rows = masked_rows(values_of(32), 32)
    masks = (0xFF0000, 0xFF00, 0xFF, 0)
    for kind, profile, expected, notes in [
        (b"DEBM", PROFILE, PROFILE, ()),
        (b"BGRs", PROFILE, None, ()),
        (b"KNIL", b"C:\\monitor.icm", None, ("colour_profile_ignored",)),
        (b"DEBM", b"", None, ("colour_profile_ignored",)),
    ]:
        raster = read(
            bmp_of(rows, 32, header=124, compression=MASKS, masks=masks, profile=(kind, profile)), ReadOptions()
        )
        assert (raster.colour_space, raster.notes) == (ColourSpace(icc=expected), notes)
    whole = bmp_of(rows, 32, header=124, compression=MASKS, masks=masks, profile=(b"DEBM", PROFILE))
    assert read(whole[:-1], ReadOptions()).notes == ("colour_profile_ignored",)


@pytest.mark.parametrize("bits", [1, 4, 8, 16, 24, 32])
def test_only_the_padding_of_the_last_row_may_be_missing(bits):
    row_bytes = -(-WIDTH * bits // 8)
    padding = -row_bytes % 4
    palette = np.zeros((1 << bits, 3)) if bits <= 8 else None
    data = bmp_of(padded(np.zeros((HEIGHT, row_bytes), np.uint8)), bits, palette=palette)
    assert (pixels(data[: len(data) - padding]) == 0).all()
    with pytest.raises(InvalidImage, match="truncated"):
        decode(data[: len(data) - padding - 1], OPTIONS)


NOT_SUPPORTED = {
    "contains a JPEG": bmp_of(b"", 0, compression=JPEG),
    "contains a PNG": bmp_of(b"", 0, compression=PNG),
    "Huffman": bmp_of(b"", 1, header=64, compression=3),
    "24-bit run lengths": bmp_of(b"", 24, header=64, compression=4),
    "compression 11": bmp_of(b"", 32, compression=11),
    "64 bits per pixel": bmp_of(bytes(1000), 64),
    "header of 100 bytes": bmp_of(bytes(1000), 24, header=100),
}


@pytest.mark.parametrize(("message", "data"), NOT_SUPPORTED.items(), ids=NOT_SUPPORTED)
def test_variants_that_are_not_supported_are_named(message, data):
    with pytest.raises(UnsupportedMediaType, match=message):
        decode(data, OPTIONS)


DAMAGED = {
    "with compression 1": bmp_of(bytes(1000), 24, compression=RLE8),
    "declares 3 bits": bmp_of(bytes(1000), 3),
    "declares 0 bits": bmp_of(bytes(1000), 0),
    "declares 13 x 0 pixels": bmp_of(bytes(1000), 24, height=0),
    "begin inside its header": bmp_of(bytes(1000), 24, offset=20),
}


@pytest.mark.parametrize(("message", "data"), DAMAGED.items(), ids=DAMAGED)
def test_contradictions_are_damage(message, data):
    with pytest.raises(InvalidImage, match=message):
        decode(data, OPTIONS)


@pytest.mark.parametrize("length", [18, 20, 30, 53])
def test_a_file_that_ends_in_its_header_is_truncated(length):
    with pytest.raises(InvalidImage, match="truncated"):
        decode(bmp_of(bytes(1000), 24)[:length], OPTIONS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_what_pillow_writes_is_read(mode):
    image = Image.fromarray(quarters()).convert(mode)
    data = encoded(image, "BMP")
    with Image.open(BytesIO(data)) as reread:
        expected = np.asarray(reread.convert("RGB"))
    assert (pixels(data) == expected).all()


def test_the_header_is_read():
    assert read_header(bmp_of(b"", 24)) == Header(WIDTH, HEIGHT)
    assert read_header(bmp_of(b"", 24, height=-HEIGHT)) == Header(WIDTH, HEIGHT)
    assert read_header(bmp_of(b"", 24, header=12)) == Header(WIDTH, HEIGHT)
