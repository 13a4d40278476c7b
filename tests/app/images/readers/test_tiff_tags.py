import struct

import numpy as np
import pytest
from PIL import Image

from app.errors import InvalidImage
from app.images.decoder_errors import decoder_errors
from app.images.raster import MAX_FRAMES, Header
from app.images.readers import tiff
from app.images.readers.tiff_tags import MAX_TAGS, Tags
from tests.app.image_files import encoded
from tests.app.images.readers.tiff_files import Layout, file_of_pages, tiff_file

BLANK = Image.new("RGB", (40, 30))
MORE = {"save_all": True, "append_images": [Image.new("RGB", size, "red") for size in ((50, 20), (7, 8))]}
GREY = np.full((3, 5, 1), 128)
SIZE = {256: (4, [8]), 257: (4, [8])}

HEADERS = {
    "one page": (encoded(BLANK, "TIFF"), Header(40, 30)),
    "tiles": (encoded(BLANK, "TIFF", compression="tiff_deflate", tile=(256, 256)), Header(40, 30)),
    "JPEG inside": (encoded(BLANK, "TIFF", compression="jpeg"), Header(40, 30)),
    "BigTIFF": (encoded(BLANK, "TIFF", big_tiff=True), Header(40, 30)),
    **{
        f"{order}, BigTIFF {big}": (tiff_file(GREY, Layout(order=order, big=big)), Header(5, 3))
        for order in "<>"
        for big in (False, True)
    },
    "several pages": (encoded(BLANK, "TIFF", **MORE), Header(40, 30, 3)),
    "a size of 16 bits": (file_of_pages([{256: (3, [8]), 257: (3, [9])}], b""), Header(8, 9)),
    "a size of 64 bits": (file_of_pages([{256: (16, [8]), 257: (16, [9])}], b"", big=True), Header(8, 9)),
    "a size declared twice": (file_of_pages([SIZE], b"").replace(b"\1\1\4\0", b"\0\1\4\0", 1), None),
    "pages that form a loop": (file_of_pages([SIZE], b"")[:-4] + struct.pack("<I", 16), Header(8, 8)),
    "a second page outside the file": (file_of_pages([SIZE], b"")[:-4] + struct.pack("<I", 1_000_000), Header(8, 8)),
    "no place for a second page": (file_of_pages([SIZE], b"")[:-4], Header(8, 8)),
    "very many pages": (file_of_pages([SIZE] * 5_000, b""), Header(8, 8, MAX_FRAMES + 1)),
    "no pixels": (file_of_pages([{256: (4, [0]), 257: (4, [8])}], b""), None),
    "no size": (file_of_pages([{258: (4, [8])}], b""), None),
    "a size as text": (file_of_pages([{256: (2, [56, 0]), 257: (4, [8])}], b""), None),
    "too many tags": (file_of_pages([{tag: (4, [1]) for tag in range(256, 257 + MAX_TAGS)}], b""), None),
    "no page": (b"II*\0\0\0\0\0", None),
    "a first page outside the file": (b"II*\0" + struct.pack("<I", 1_000_000), None),
    "nothing but a signature": (b"II*\0", None),
    "a BigTIFF's first page outside the file": (b"II+\0\x08\0\0\0" + struct.pack("<Q", 1 << 63), None),
    "a BigTIFF of absurdly many tags": (b"MM\0+\0\x08\0\0" + struct.pack(">QQ", 16, (1 << 64) - 1), None),
}


@pytest.mark.parametrize(("data", "expected"), HEADERS.values(), ids=HEADERS)
def test_a_header_is_read_without_decoding(data, expected):
    if expected:
        assert tiff.read_header(data) == expected
        return
    with pytest.raises(InvalidImage), decoder_errors("TIFF"):
        tiff.read_header(data)


@pytest.mark.parametrize(
    ("frame", "size"), [(0, (40, 30)), (1, (50, 20)), (2, (7, 8)), (3, (40, 30)), (9_999, (40, 30))]
)
def test_a_header_has_the_size_of_the_page(frame, size):
    assert tiff.read_header(encoded(BLANK, "TIFF", **MORE), frame) == (*size, 3)


def test_values_outside_the_file_are_refused():
    tags = Tags(file_of_pages([SIZE | {273: (4, [8] * 100)}], b"")[:-40], 16)
    assert tags.integer(273, 0) == 8
    with pytest.raises(InvalidImage, match="values of its tag 273 are outside the file"):
        tags.values(273)
