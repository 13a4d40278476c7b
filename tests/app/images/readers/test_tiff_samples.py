"""TIFF files as programs write them. `test_tiff_layouts` has the table of all layouts of samples."""

from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.decode import DecodeOptions
from app.images.decoder_errors import decoder_errors
from app.images.raster import ReadOptions
from app.images.readers import tiff
from app.images.readers.tiff_tags import Tags, find_pages
from tests.app.image_files import encoded
from tests.app.images.readers.tiff_files import Layout, tiff_file

OPTIONS = DecodeOptions(1_000_000)
COLOURS = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
GREY = COLOURS[..., 0]
GREY_RGB = np.repeat(GREY[..., None], 3, axis=2)
SMOOTH = (np.mgrid[0:48, 0:80].sum(axis=0)[..., None] + [0, 40, 90]).astype(np.uint8)  # for lossy compression


def tiff_of(array: np.ndarray, **options: object) -> bytes:
    file = BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


REDUCED, FROM_FLOAT = ["reduced_from_16_bit"], ["reduced_from_float"]
PLANES = {"photometric": "rgb", "planarconfig": "separate"}
WRITTEN = {
    "planar, 16 bits": (tiff_of(np.moveaxis(COLOURS, 2, 0).astype(np.uint16) * 257, **PLANES), COLOURS, REDUCED),
    "signed 16 bits": (tiff_of(GREY.astype(np.int16) << 7, photometric="minisblack"), GREY_RGB, REDUCED),
    "half floats": (tiff_of((GREY / 255).astype(np.float16), photometric="minisblack"), GREY_RGB, FROM_FLOAT),
    "float RGB": (tiff_of((COLOURS / 255).astype(np.float32), photometric="rgb"), COLOURS, FROM_FLOAT),
    "12 bits in 16": (
        tiff_of(GREY.astype(np.uint16) << 4, photometric="minisblack", extratags=[(281, 3, 1, 4095, True)]),
        GREY_RGB,
        REDUCED,
    ),
    "Pillow's 16 bits with LZW": (
        encoded(GREY.astype(np.uint16) * 256, "TIFF", compression="tiff_lzw"),
        GREY_RGB,
        REDUCED,
    ),
    "Pillow's floats with LZW": (
        encoded((GREY / 255).astype(np.float32), "TIFF", compression="tiff_lzw"),
        GREY_RGB,
        FROM_FLOAT,
    ),
    **{
        f"Pillow's RGB, {compression}": (encoded(COLOURS, "TIFF", compression=compression), COLOURS, [])
        for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd")
    },
    **{
        f"Pillow's 1 bit, {compression}": (
            encoded(Image.fromarray(GREY > 127), "TIFF", compression=compression),
            np.where(GREY_RGB > 127, 255, 0),
            [],
        )
        for compression in (None, "tiff_ccitt", "group3", "group4", "tiff_lzw")
    },
    "no PhotometricInterpretation": (tiff_file(GREY[..., None], Layout(None)), GREY_RGB, []),
    "no PhotometricInterpretation, colours": (tiff_file(COLOURS, Layout(None)), COLOURS, []),
    "no ExtraSamples": (tiff_file(np.dstack([COLOURS, GREY * 0 + 255]), Layout(2)), COLOURS, []),
    "alpha of CorelDraw": (tiff_file(np.dstack([COLOURS, GREY * 0 + 255]), Layout(2, extra=(999,))), COLOURS, []),
}


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
    data = tiff_of(np.moveaxis(samples, 2, 0) if options is PLANES else samples, metadata=None, **options)
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
