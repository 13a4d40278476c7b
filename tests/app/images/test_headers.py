import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from app.images import headers
from app.images.headers import Header
from tests.app.image_files import encoded
from tests.app.images.hostile import bmp, compressed_text, gif, grey_tiff, jpeg, one_pixel_png, png_chunk, tiff, webp

BLANK = Image.new("RGB", (40, 30))
MORE = {"save_all": True, "append_images": [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]}

READ = {
    "JPEG": (headers.read_jpeg, encoded(BLANK, "JPEG"), Header(40, 30)),
    "JPEG with a preview in its EXIF": (
        headers.read_jpeg,
        jpeg(b"\xff\xe1" + struct.pack(">H", 2 + len(jpeg())) + jpeg()),
        Header(64, 64),
    ),
    "PNG": (headers.read_png, encoded(BLANK), Header(40, 30)),
    "APNG": (headers.read_png, encoded(BLANK, **MORE), Header(40, 30, 3)),
    "WebP": (headers.read_webp, encoded(BLANK, "WEBP"), Header(40, 30)),
    "WebP, lossless": (headers.read_webp, encoded(BLANK, "WEBP", lossless=True), Header(40, 30)),
    "WebP, several frames": (headers.read_webp, encoded(BLANK, "WEBP", **MORE), Header(40, 30, 3)),
    "WebP, canvas": (headers.read_webp, webp(2, (16_384, 300)), Header(16_384, 300, 2)),
    "GIF": (headers.read_gif, encoded(BLANK, "GIF", **MORE), Header(40, 30, 3)),
    "GIF whose frame is larger": (headers.read_gif, gif(1, (300, 200)), Header(300, 200)),
    "BMP": (headers.read_bmp, encoded(BLANK, "BMP"), Header(40, 30)),
    "BMP with the top row first": (headers.read_bmp, bmp(40, -30, 0, b""), Header(40, 30)),
    "BMP of OS/2": (headers.read_bmp, b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 40, 30, 1, 24), Header(40, 30)),
    "TIFF": (headers.read_tiff, encoded(BLANK, "TIFF", **MORE), Header(40, 30, 3)),
    "TIFF, tiles": (
        headers.read_tiff,
        encoded(BLANK, "TIFF", compression="tiff_deflate", tile=(256, 256)),
        Header(40, 30),
    ),
    "TIFF, the other byte order": (headers.read_tiff, encoded(np.zeros((30, 40), ">u2"), "TIFF"), Header(40, 30)),
    "TIFF, JPEG inside": (headers.read_tiff, encoded(BLANK, "TIFF", compression="jpeg"), Header(40, 30)),
    "BigTIFF": (headers.read_tiff, encoded(BLANK, "TIFF", big_tiff=True), Header(40, 30)),
    "TIFF whose pages form a loop": (
        headers.read_tiff,
        tiff({256: [8], 257: [8], 273: [0]}, bytes(64))[:-4] + struct.pack("<I", 72),
        Header(8, 8),
    ),
    "TIFF whose second page is missing": (
        headers.read_tiff,
        tiff({256: [8], 257: [8], 273: [0]}, bytes(64))[:-4] + struct.pack("<I", 1_000_000),
        Header(8, 8),
    ),
    "TIFF, planes": (
        headers.read_tiff,
        grey_tiff(t277=[3], t284=[2], t273=[8] * 6, t278=[4], t279=[32] * 6),
        Header(8, 8),
    ),
}


@pytest.mark.parametrize(("read", "data", "expected"), READ.values(), ids=READ)
def test_a_header_is_read_without_decoding(read, data, expected):
    assert read(data) == expected


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (b"tEXt", b"Comment\0four", 12),
        (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000)), 1_000),
        (b"iCCP", b"sRGB\0\0" + zlib.compress(bytes(1_000)), 1_000),
        (b"iTXt", b"Comment\0\0\0de\0Kommentar\0vier", 27),
        (b"iTXt", b"Comment\0\1\0de\0Kommentar\0" + zlib.compress(bytes(1_000)), 1_000),
        (b"zTXt", b"Comment\0\0no zlib", 16),
        (b"zTXt", b"", 0),
    ],
)
def test_the_uncompressed_length_of_a_text_chunk_is_found(kind, body, expected):
    assert headers.unpacked_bytes(kind, body) == expected


def test_text_chunks_within_the_limit_are_accepted():
    texts = compressed_text(b"zTXt", bytes(900_000)) * 5 + png_chunk(b"tEXt", b"Comment\0" + bytes(5_000_000))
    assert headers.read_png(one_pixel_png(texts)) == Header(1, 1)


def test_a_small_bmp_may_have_run_lengths():
    assert headers.read_bmp(bmp(2_000, 2_000, 1, b"")) == Header(2_000, 2_000)
