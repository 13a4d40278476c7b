"""Damaged samples of a TIFF. `test_tiff_layouts` has the table of all layouts of samples."""

from io import BytesIO

import numpy as np
import pytest
import tifffile

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decoder_errors import decoder_errors
from app.images.raster import ReadOptions
from app.images.readers import tiff
from app.images.readers.tiff_tags import Tags, find_pages
from tests.app.images.readers.tiff_files import Layout, tiff_file

COLOURS = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
PLANES = {"photometric": "rgb", "planarconfig": "separate"}
TRUNCATED = {
    "8 bits": {"photometric": "rgb"},
    "planes": PLANES,
    "tiles": {"photometric": "rgb", "tile": (16, 16)},
    "deflate": {"photometric": "rgb", "compression": "deflate"},
    "BigTIFF": {"photometric": "rgb", "bigtiff": True, "byteorder": ">"},
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("options", TRUNCATED.values(), ids=TRUNCATED)
def test_a_truncated_file_is_damaged(options, dtype):
    samples = COLOURS.astype(dtype) / 255 if dtype == np.float32 else COLOURS.astype(dtype)
    file = BytesIO()
    tifffile.imwrite(file, np.moveaxis(samples, 2, 0) if options is PLANES else samples, metadata=None, **options)
    data = file.getvalue()
    for left in (1.0, 0.99, 0.6, 0.3, 0.1, 0.05, 0.01):
        with pytest.raises(InvalidImage, match=r"truncated|damaged"), decoder_errors("TIFF"):
            tiff.read(data[: int(len(data) * left) - 1], ReadOptions())


@pytest.mark.parametrize("layout", [Layout(2, bits, compression=way) for bits in (8, 16, 32) for way in (5, 8, 34925)])
def test_a_damaged_strip_is_refused(layout):
    samples = COLOURS.astype(np.uint64) << layout.bits - 8
    data = bytearray(tiff_file(samples, layout))
    at = Tags(bytes(data), find_pages(bytes(data))[0]).integer(273, 0)
    data[at : at + 300] = b"\xff" * 300
    with pytest.raises((InvalidImage, UnsupportedMediaType)), decoder_errors("TIFF"):
        tiff.read(bytes(data), ReadOptions())
