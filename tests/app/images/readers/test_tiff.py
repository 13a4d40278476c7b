"""TIFF files as programs write them. `test_tiff_layouts` has the table of all layouts of samples."""

import zlib
from io import BytesIO

import numpy as np
import pytest
import tifffile
from PIL import Image

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.colours.convert import UPRIGHT
from app.images.decode import DecodeOptions, decode
from app.images.raster import ReadOptions
from app.images.readers import tiff
from tests.app.image_files import encoded, pixels_of, quarters
from tests.app.images.readers.tiff_files import Layout, file_of_pages, tiff_file

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


@pytest.mark.parametrize(("data", "expected", "notes"), WRITTEN.values(), ids=WRITTEN)
def test_files_of_usual_programs_have_their_pixels(data, expected, notes):
    image = decode(data, OPTIONS)
    assert np.abs(pixels_of(image).astype(int) - expected).max() <= (1 if notes == FROM_FLOAT else 0)
    assert image.notes == notes


def raster_pixels(data: bytes) -> np.ndarray:
    return np.asarray(tiff.read(data, ReadOptions()).image.convert("RGB")).astype(int)


@pytest.mark.parametrize("stretch", [1, 256, 257])
def test_a_palette_may_have_8_or_16_bits(stretch):
    colours = COLOURS.reshape(-1, 3)[:256]
    palette = {320: (3, (colours.T.astype(int) * stretch).ravel().tolist())}
    for compression in (1, 5):
        data = tiff_file(GREY[..., None], Layout(3, compression=compression), palette)
        assert (raster_pixels(data) == colours[GREY]).all()


def chroma_file(across: int, down: int, compression: int) -> bytes:
    """Returns `SMOOTH` as YCbCr whose chroma is reduced."""
    values = np.asarray(Image.fromarray(SMOOTH).convert("YCbCr")).astype(int)
    units = bytearray()
    for top in range(0, values.shape[0], down):
        for left in range(0, values.shape[1], across):
            unit = values[top : top + down, left : left + across]
            units += bytes(
                [*unit[..., 0].ravel().tolist(), *np.rint(unit[..., 1:].mean(axis=(0, 1))).astype(int).tolist()]
            )
    data = zlib.compress(units) if compression == 8 else bytes(units)
    tags = {
        256: (4, [values.shape[1]]),
        257: (4, [values.shape[0]]),
        258: (3, [8, 8, 8]),
        259: (3, [compression]),
        262: (3, [6]),
        273: (4, [16]),
        277: (3, [3]),
        278: (4, [values.shape[0]]),
        279: (4, [len(data)]),
        530: (3, [across, down]),
    }
    return file_of_pages([tags], data)


@pytest.mark.parametrize(("across", "down", "compression"), [(1, 1, 1), (1, 1, 8), (2, 1, 8), (2, 2, 8), (4, 4, 8)])
def test_ycbcr_is_converted(across, down, compression):
    assert np.abs(raster_pixels(chroma_file(across, down, compression)) - SMOOTH).max() <= 5


@pytest.mark.parametrize("subsampling", [0, 2])
def test_a_jpeg_in_a_tiff_has_its_pixels(subsampling):
    for image, expected in [(SMOOTH, SMOOTH), (SMOOTH[..., 0], SMOOTH[..., :1])]:
        data = encoded(image, "TIFF", compression="jpeg", quality=98, subsampling=subsampling)
        assert np.abs(raster_pixels(data) - expected).max() <= 4


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_old_style_jpeg_is_read_or_refused(mode):
    jpeg = encoded(Image.fromarray(SMOOTH).convert(mode), "JPEG", quality=98, subsampling=0)
    samples = len(mode)
    tags = {
        256: (4, [SMOOTH.shape[1]]),
        257: (4, [SMOOTH.shape[0]]),
        258: (3, [8] * samples),
        259: (3, [6]),
        262: (3, [6 if mode == "RGB" else 1]),
        273: (4, [16]),
        277: (3, [samples]),
        278: (4, [SMOOTH.shape[0]]),
        279: (4, [len(jpeg)]),
        513: (4, [16]),
        514: (4, [len(jpeg)]),
        530: (3, [1, 1]),
    }
    if mode == "RGB":
        assert np.abs(raster_pixels(file_of_pages([tags], jpeg)) - SMOOTH).max() <= 4
        damaged = file_of_pages([tags], jpeg.replace(b"\xff\xc0", b"\xff\xcb"))
    else:
        damaged = file_of_pages([tags], jpeg)
    with pytest.raises(UnsupportedMediaType, match="old-style JPEG"):
        raster_pixels(damaged)


STORED_TURNED = {
    "Pillow decodes": Layout(1, 8, compression=5),
    "Pillow decodes, uncompressed": Layout(1, 8, big=True),
    "Pillow decodes the samples": Layout(1, 16, compression=5),
    "tifffile decodes": Layout(1, 16),
}


@pytest.mark.parametrize("layout", STORED_TURNED.values(), ids=STORED_TURNED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(orientation, layout):
    upright = Image.fromarray(quarters()).convert("L")
    stored = upright.transpose(UPRIGHT[{6: 8, 8: 6}.get(orientation, orientation)]) if orientation > 1 else upright
    samples = np.asarray(stored)[..., None].astype(np.uint16) << layout.bits - 8
    image = decode(tiff_file(samples, layout, {274: (3, [orientation])}), OPTIONS)
    assert (image.width, image.height) == upright.size
    assert (pixels_of(image)[..., 0] == np.asarray(upright)).all()
    assert ("exif_orientation_applied" in image.notes) == (orientation > 1)


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_does_not_exist_is_ignored(orientation):
    for bits in (8, 16):
        data = tiff_file(GREY[..., None].astype(np.uint16), Layout(1, bits), {274: (3, [orientation])})
        raster = tiff.read(data, ReadOptions())
        assert (raster.width, raster.height, raster.orientation, raster.notes[1:]) == (48, 32, 1, ())


def test_a_predictor_without_compression_is_ignored():
    assert (raster_pixels(tiff_file(COLOURS, Layout(2), {317: (3, [2])})) == COLOURS).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_the_colour_profile_is_returned(bits):
    profile = bytes(range(200))
    data = tiff_file(COLOURS.astype(np.uint16), Layout(2, bits), {34675: (7, list(profile))})
    assert tiff.read(data, ReadOptions()).colour_space.icc == profile
    assert tiff.read(tiff_file(COLOURS, Layout(2)), ReadOptions()).colour_space.icc is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_each_page_has_its_own_size_and_layout(dtype):
    pages = [np.full((9, 7), 1, dtype), np.full((5, 6, 3), 2, dtype), np.full((8, 8), 3, np.float32)]
    file = BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in pages:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    for number, page in enumerate(pages[:2]):
        raster = tiff.read(file.getvalue(), ReadOptions(number))
        assert (raster.height, raster.width) == page.shape[:2]
        assert (np.asarray(raster.image) == page >> (8 if dtype == np.uint16 else 0)).all()
    with pytest.raises(InvalidImage, match="not all between 0 and 1"):
        tiff.read(file.getvalue(), ReadOptions(2))
