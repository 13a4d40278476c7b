"""A TIFF has the pixels that a viewer shows in every layout, or an error that names the reason.

The expected pixels are computed here from the samples. `tiff_files` writes the files; what it writes is compared with
what tifffile reads.
"""

import importlib.util
import subprocess
import sys
from io import BytesIO
from itertools import product

import numpy as np
import pytest
import tifffile

from app.errors import UnsupportedMediaType
from app.images.decoder_errors import decoder_errors
from app.images.raster import Raster, ReadOptions
from app.images.readers import tiff
from tests.app.images.readers.tiff_files import Layout, tiff_file

HEIGHT, WIDTH = 17, 26
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

# Name -> PhotometricInterpretation, the number of colours, and ExtraSamples.
KINDS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "grey": (1, 1, ()),
    "grey, 0 is white": (0, 1, ()),
    "grey and alpha": (1, 1, (2,)),
    "grey and alpha, 0 is white": (0, 1, (2,)),
    "grey, premultiplied": (1, 1, (1,)),
    "grey, premultiplied, 0 is white": (0, 1, (1,)),
    "grey and another": (1, 1, (0,)),
    "RGB": (2, 3, ()),
    "RGBA": (2, 3, (2,)),
    "RGBA, premultiplied": (2, 3, (1,)),
    "RGB and another": (2, 3, (0,)),
    "RGBA and another": (2, 3, (2, 0)),
    "RGB, another and alpha": (2, 3, (0, 2)),
    "palette": (3, 1, ()),
    "palette and alpha": (3, 1, (2,)),
    "CMYK": (5, 4, ()),
    "CMYK and another": (5, 4, (0,)),
    "CMYK and alpha": (5, 4, (2,)),
    "Lab": (8, 3, ()),
    "Lab of ICC": (9, 3, ()),
}
TYPES = [
    *((UNSIGNED, bits) for bits in (1, 2, 4, 8, 10, 12, 14, 16, 32, 64)),
    *((SIGNED, bits) for bits in (8, 16, 32, 64)),
    *((FLOAT, bits) for bits in (16, 32, 64)),
]
STORED = list(
    product((False, True), "<>", (False, True), (None, (16, 16)), (1, 2), [(1, 1), (8, 1), (8, 2), (5, 1), (5, 2)])
)  # planes apart, byte order, BigTIFF, tiles, bit order, compression and predictor
STORED += list(product((False, True), "<>", (False, True), (None, (16, 16)), (1, 2), [(32773, 1), (34925, 1), (8, 3)]))
HAS_CODECS = importlib.util.find_spec("imagecodecs") is not None


def largest(layout: Layout) -> int:
    """Returns the sample that is white."""
    return (1 << layout.bits - (layout.sample_format == SIGNED)) - 1


def made_samples(layout: Layout, colours: int) -> np.ndarray:
    """Returns random samples from black to white."""
    rng = np.random.default_rng(layout.bits)
    shape = (HEIGHT, WIDTH, colours + len(layout.extra))
    if layout.sample_format == FLOAT:
        samples = rng.random(shape)
        samples[0, :2] = [[0], [1]]
    else:
        samples = rng.integers(0, largest(layout), shape, np.uint64, endpoint=True)
        samples[0, :2] = [[0], [largest(layout)]]
    if 1 in layout.extra:  # premultiplied: a colour is at most alpha
        samples = np.minimum(samples, samples[..., colours:])
    return samples.astype(f"f{layout.bits // 8}") if layout.sample_format == FLOAT else samples


def in_8_bits(samples: np.ndarray, layout: Layout) -> np.ndarray:
    """Returns the samples from 0 to 255."""
    if layout.sample_format == FLOAT:
        return np.rint(samples.astype(np.float64) * 255).astype(int)
    used = layout.bits - (layout.sample_format == SIGNED)
    if used < 8:
        return np.rint(samples.astype(int) * 255 / largest(layout)).astype(int)
    return (samples.astype(np.uint64) >> np.uint64(used - 8)).astype(int)


def expected_pixels(samples: np.ndarray, layout: Layout, colours: int, palette: np.ndarray) -> np.ndarray:
    """Returns the colours as the reader should return them, composited on white."""
    if layout.photometric == 3:
        values = palette[samples[..., 0].astype(int)] >> 8
    else:
        values = in_8_bits(samples[..., :colours], layout)
    kind = next((kind for kind in layout.extra if kind), 0)
    alpha = in_8_bits(samples[..., colours + layout.extra.index(kind), None], layout) if kind else 255
    if layout.photometric == 0:
        values = (alpha if kind == 1 else 255) - values
    if layout.photometric == 5:
        return np.rint(values * alpha / 255)
    if layout.photometric == 9:
        values[..., 1:] ^= 128
    return values + 255 - alpha if kind == 1 else np.rint(values * alpha / 255 + 255 - alpha)


def shown(raster: Raster) -> np.ndarray:
    """Returns the pixels of a raster, composited on white."""
    image = raster.image.convert("RGB") if raster.image.mode == "P" else raster.image
    values = np.asarray(image).astype(int).reshape(image.height, image.width, -1)
    if image.mode[-1] not in "aA":
        return values
    colours, alpha = values[..., :-1], values[..., -1:]
    return colours + 255 - alpha if image.mode[-1] == "a" else np.rint(colours * alpha / 255 + 255 - alpha)


def made_file(layout: Layout, colours: int) -> tuple[bytes, np.ndarray]:
    """Returns a file of random samples, and its pixels on white."""
    samples = made_samples(layout, colours)
    palette = np.random.default_rng(1).integers(0, 65536, (1 << layout.bits, 3)) if layout.photometric == 3 else None
    more = {320: (3, palette.T.ravel().tolist())} if palette is not None else {}
    return tiff_file(samples, layout, more), expected_pixels(samples, layout, colours, palette)


def read(data: bytes, frame: int = 0) -> Raster:
    with decoder_errors("TIFF"):
        tiff.read_header(data, frame)
        return tiff.read(data, ReadOptions(frame))


def refusal(data: bytes) -> str:
    """Returns the message of the refusal of a layout, or "" if it is read."""
    try:
        read(data)
    except UnsupportedMediaType as error:
        return error.detail
    return ""


def stored_layouts(kind: str, sample_format: int, bits: int, count: int) -> list[Layout]:
    """Returns some of the ways to store samples: others for each kind and type, so that all occur with many."""
    photometric, _, extra = KINDS[kind]
    ways = [
        Layout(photometric, bits, sample_format, extra, planar, order, big, tile, 10, compression, predictor, fill)
        for planar, order, big, tile, fill, (compression, predictor) in STORED
        if (predictor != 2 or bits in (8, 16, 32, 64)) and (predictor != 3 or sample_format == FLOAT)
    ]
    rng = np.random.default_rng([bits, sample_format, list(KINDS).index(kind)])
    return [ways[index] for index in rng.permutation(len(ways))[:count]]


def may_need_codecs(layout: Layout) -> bool:
    """Returns whether the layout may be refused if the package imagecodecs is missing."""
    packed = layout.bits not in (1, 8, 16, 32, 64)
    return packed or layout.compression == 5 or (layout.sample_format == FLOAT and layout.predictor > 1)


CASES = [
    (kind, sample_format, bits)
    for kind, (sample_format, bits) in product(KINDS, TYPES)
    if ("Lab" not in kind or (sample_format, bits) in [(UNSIGNED, 8), (UNSIGNED, 16)])
    and ("palette" not in kind or (sample_format == UNSIGNED and bits <= 12))
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "sample_format", "bits"), CASES)
def test_a_page_of_any_layout_has_its_pixels(kind, sample_format, bits):
    for layout in stored_layouts(kind, sample_format, bits, 3):
        data, expected = made_file(layout, KINDS[kind][1])
        assert tiff.read_header(data) == (WIDTH, HEIGHT, 1)
        if not HAS_CODECS and may_need_codecs(layout) and "imagecodecs is installed" in refusal(data):
            continue
        raster = read(data)
        assert (raster.width, raster.height, raster.orientation) == (WIDTH, HEIGHT, 1), layout
        assert np.abs(shown(raster) - expected).max() <= (1 if any(layout.extra) else 0), layout
        reduced = () if bits <= 8 or "palette" in kind else ("reduced_from_16_bit",)
        reduced = ("reduced_from_float",) if sample_format == FLOAT else reduced
        assert raster.notes == reduced + (("alpha_composited_on_white",) if kind == "CMYK and alpha" else ()), layout


USUAL = [
    *(Layout(photometric, bits) for photometric in (0, 1, 3) for bits in (1, 2, 4, 8)),
    *(Layout(1, 8, extra=extra) for extra in [(2,), (1,), (0,)]),
    *(Layout(2, bits, extra=extra) for bits in (8, 16) for extra in [(), (2,), (1,), (0,)]),
    *(Layout(2, bits, planar=True) for bits in (8, 16)),
    *(Layout(5, bits) for bits in (8, 16)),
    *(Layout(1, bits) for bits in (12, 16, 32)),
    *(Layout(1, bits, SIGNED) for bits in (16, 32)),
    Layout(1, 32, FLOAT),
    Layout(2, 8, extra=(2, 0)),
    Layout(3, 8, extra=(2,)),
    Layout(8, 8),
]


@pytest.mark.parametrize("compression", [5, 8, 32773])
@pytest.mark.parametrize("layout", USUAL)
def test_usual_layouts_need_no_optional_package(layout, compression):
    layout = layout._replace(compression=compression)
    colours = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 8: 3}[layout.photometric]
    data, expected = made_file(layout, colours)
    assert np.abs(shown(read(data)) - expected).max() <= (1 if any(layout.extra) else 0)


WITHOUT_CODECS = "import sys, pytest; sys.modules['imagecodecs'] = None; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.mark.slow
@pytest.mark.skipif(not HAS_CODECS, reason="the tests above have run without imagecodecs")
def test_the_tests_of_layouts_pass_without_imagecodecs():
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__, "-k", "layout and not tests_of"]
    run = subprocess.run([sys.executable, "-c", WITHOUT_CODECS, *options], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


STORED_BY_TIFFFILE = list(product("<>", (False, True), (None, (16, 16)), (None, "deflate", "lzma")))


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f2", "f4", "f8"])
def test_files_of_tifffile_have_their_pixels(dtype, planar):
    layout = Layout(2, int(dtype[1]) * 8, {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[dtype[0]])
    samples = made_samples(layout, 3).astype(dtype)
    stored = np.ascontiguousarray(np.moveaxis(samples, 2, 0)) if planar else samples
    planes = "separate" if planar else "contig"
    for order, big, tile, compression in STORED_BY_TIFFFILE:
        file = BytesIO()
        options = {"byteorder": order, "bigtiff": big, "tile": tile, "compression": compression}
        tifffile.imwrite(file, stored, photometric="rgb", planarconfig=planes, **options)
        assert (shown(read(file.getvalue())) == in_8_bits(samples, layout)).all(), options


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize(("sample_format", "bits"), [(UNSIGNED, 8), (UNSIGNED, 32), (SIGNED, 16), (FLOAT, 64)])
def test_tifffile_agrees_about_the_files_of_these_tests(sample_format, bits, planar):
    for order, big, tile, compression, fill_order in product(
        "<>", (False, True), (None, (16, 16)), (1, 8, 32773), (1, 2)
    ):
        layout = Layout(2, bits, sample_format, (), planar, order, big, tile, 10, compression, 1, fill_order)
        samples = made_samples(layout, 3)
        stored = tifffile.imread(BytesIO(tiff_file(samples, layout)))
        assert ((np.moveaxis(stored, 0, 2) if planar else stored) == samples).all(), layout
