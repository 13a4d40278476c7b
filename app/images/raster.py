"""What the reader of a format gets and returns: see `Raster`. Nothing is decoded here."""

from typing import NamedTuple

from PIL import Image

MAX_SIDE_PIXELS = 32_768
MAX_FRAMES = 1_000


class Header(NamedTuple):
    """The stored size in pixels, and the number of frames or pages, counted up to `MAX_FRAMES` + 1."""

    width: int
    height: int
    frames: int = 1


class ReadOptions(NamedTuple):
    """Which frame of a file to read, and the least side in pixels to which a JPEG may be reduced."""

    frame: int = 0
    least_side: int | None = None


class CICP(NamedTuple):
    """Code points of a colour space (ITU-T H.273): colour primaries, transfer function, matrix, and full range.

    They describe the samples of the raster: a decoder that has applied matrix and range leaves the defaults.
    """

    primaries: int
    transfer: int
    matrix: int = 0
    full_range: bool = True


class ColourSpace(NamedTuple):
    """How a file describes its colours. A file without a description is sRGB.

    `gamma` is the exponent of PNG's gAMA chunk, such as 0.45455. `chromaticities` are those of its cHRM chunk: x and y
    of white, red, green and blue.
    """

    icc: bytes | None = None
    cicp: CICP | None = None
    gamma: float | None = None
    chromaticities: tuple[float, ...] | None = None


class Raster(NamedTuple):
    """A decoded image before its colours are converted.

    Attributes:
        image: In Pillow's mode L, LA, RGB, RGBA, CMYK (0 is no ink), LAB, or P with any transparency. `La` and `RGBa`
            have premultiplied alpha.
        width, height: The size that the file declares, before `orientation` is applied. `image` may be smaller.
        notes: What the reader did to the samples, as codes of the HTTP API.
        colour_space: How the file describes its colours.
        orientation: 1 to 8, as in EXIF; not yet applied to `image`.
    """

    image: Image.Image
    width: int
    height: int
    notes: tuple[str, ...] = ()
    colour_space: ColourSpace = ColourSpace()
    orientation: int = 1
