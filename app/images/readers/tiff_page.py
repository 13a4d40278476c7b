"""How a TIFF page stores its samples, as its tags say. Nothing is decoded here."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.readers.tiff_tags import Tags

MAX_SAMPLES = 1_024  # per pixel

# Numbers of tags.
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES = 273, 274, 277, 278, 279
MAX_VALUE, PLANAR, PREDICTOR, COLOUR_MAP, TILE_WIDTH, TILE_HEIGHT = 281, 284, 317, 320, 322, 323
TILE_OFFSETS, TILE_BYTES, INK_SET, EXTRA_SAMPLES, SAMPLE_FORMAT = 324, 325, 332, 338, 339
S_MIN, S_MAX, SUBSAMPLING, REFERENCE_BLACK_WHITE, DEPTH, ICC = 340, 341, 530, 532, 32997, 34675

# PhotometricInterpretation -> the number of colour samples.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIE_LAB, ICC_LAB = 0, 1, 2, 3, 5, 6, 8, 9
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIE_LAB: 3, ICC_LAB: 3}

UNSIGNED, SIGNED, FLOAT = 1, 2, 3  # SampleFormat
PREMULTIPLIED, ALPHA, COREL_ALPHA = 1, 2, 999  # ExtraSamples; CorelDraw 10 writes 999

CCITT, OLD_JPEG, JPEG = {2, 3, 4}, 6, 7  # Compression


class Page(NamedTuple):
    """How a page stores its samples. The names are those of the TIFF specification in short.

    Attributes:
        bits, sample_format: Of each sample. Pages whose samples differ are not supported.
        planar: Whether the planes are stored one after the other (PlanarConfiguration 2).
        photometric: What the samples mean. If the file does not say it, what libtiff assumes.
        extra: The meaning of each sample after the colours.
        max_value: MaxSampleValue, or None.
        declared: SMinSampleValue and SMaxSampleValue, one for each sample or one for all, or None.
        offsets, lengths: Of the strips or tiles. `lengths` may be empty.
        tile: The width and height of a tile, or of a strip.
    """

    big_endian: bool
    big_tiff: bool
    width: int
    height: int
    bits: int
    sample_format: int
    samples: int
    planar: bool
    photometric: int
    photometric_declared: bool
    extra: tuple[int, ...]
    compression: int
    predictor: int
    fill_order: int
    max_value: int | None
    declared: tuple[NDArray[np.float64], NDArray[np.float64]] | None
    offsets: NDArray[np.uint64]
    lengths: NDArray[np.uint64]
    tile: tuple[int, int]
    depth: int
    colour_map: NDArray[np.int64]
    ink_set: int
    subsampling: tuple[int, ...]
    reference_black_white: bool
    orientation: int
    icc: bytes | None

    @property
    def colours(self) -> int:
        """The number of colour samples."""
        return self.samples - len(self.extra)

    @property
    def bits_used(self) -> int:
        """The bits that MaxSampleValue declares, such as 12 of 16. Other values of this tag are only statistics."""
        used = (self.max_value or 0).bit_length()
        return used if 8 <= used < self.bits and self.max_value == (1 << used) - 1 else self.bits

    @property
    def alpha(self) -> int | None:
        """The index of the alpha sample, or None."""
        kinds = (PREMULTIPLIED, ALPHA, COREL_ALPHA)
        return next((self.colours + index for index, kind in enumerate(self.extra) if kind in kinds), None)

    @property
    def premultiplied(self) -> bool:
        """Whether the colours are multiplied by alpha."""
        if self.alpha is None or self.photometric == PALETTE:
            return False
        return self.extra[self.alpha - self.colours] == PREMULTIPLIED


def read_size(tags: Tags) -> tuple[int, int]:
    """Returns a page's width and height. Raises `InvalidImage` if one is missing or 0."""
    width, height = tags.integer(WIDTH, 0), tags.integer(HEIGHT, 0)
    if width < 1 or height < 1:
        raise InvalidImage("The TIFF is damaged: the page has no pixels, or does not declare its size.")
    return width, height


def read_page(tags: Tags) -> Page:
    """Returns how a page stores its samples.

    Raises:
        InvalidImage: The tags contradict each other, or are outside the file.
        UnsupportedMediaType: The samples have different types.
    """
    width, height = read_size(tags)
    compression = tags.integer(COMPRESSION, 1)
    samples = tags.integer(SAMPLES, 3 if compression == OLD_JPEG else 1)
    if not 1 <= samples <= MAX_SAMPLES:
        raise InvalidImage(f"The TIFF is damaged: it declares {samples} samples per pixel.")
    photometric = tags.integer(PHOTOMETRIC, -1)
    extra = tags.integers(EXTRA_SAMPLES, MAX_SAMPLES)
    if photometric == -1:  # as libtiff does
        grey = WHITE_IS_ZERO if compression in CCITT else BLACK_IS_ZERO
        photometric = YCBCR if compression == OLD_JPEG else grey if samples - len(extra) < 3 else RGB
    if not extra and photometric == RGB and samples == 4:
        extra = (ALPHA,)  # some programs leave ExtraSamples out
    tiled = TILE_OFFSETS in tags.entries
    low, high = tags.values(S_MIN, samples), tags.values(S_MAX, samples)
    return Page(
        big_endian=tags.order == ">",
        big_tiff=tags.big,
        width=width,
        height=height,
        bits=common_value(tags, BITS, samples, "numbers of bits"),
        sample_format=common_value(tags, SAMPLE_FORMAT, samples, "types"),
        samples=samples,
        planar=tags.integer(PLANAR, 1) == 2,
        photometric=photometric,
        photometric_declared=PHOTOMETRIC in tags.entries,
        extra=extra,
        compression=compression,
        predictor=tags.integer(PREDICTOR, 1),
        fill_order=tags.integer(FILL_ORDER, 1),
        max_value=max(tags.integers(MAX_VALUE, samples), default=0) or None,
        declared=(low.astype(np.float64), high.astype(np.float64)) if len(low) and len(high) else None,
        offsets=tags.values(TILE_OFFSETS if tiled else STRIP_OFFSETS).astype(np.uint64),
        lengths=tags.values(TILE_BYTES if tiled else STRIP_BYTES).astype(np.uint64),
        tile=(tags.integer(TILE_WIDTH, 0), tags.integer(TILE_HEIGHT, 0))
        if tiled
        else (width, min(tags.integer(STRIP_ROWS, height), height)),
        depth=tags.integer(DEPTH, 1),
        colour_map=tags.values(COLOUR_MAP, 3 << 16).astype(np.int64),
        ink_set=tags.integer(INK_SET, 1),
        subsampling=tags.integers(SUBSAMPLING, 2) or (2, 2),
        reference_black_white=REFERENCE_BLACK_WHITE in tags.entries,
        orientation=tags.integer(ORIENTATION, 1),
        icc=tags.values(ICC).tobytes() or None,
    )


def common_value(tags: Tags, tag: int, samples: int, name: str) -> int:
    """Returns the value of a tag that has one for each sample, or one for all."""
    values = tags.integers(tag, samples) or (1,)
    if len(values) not in (1, samples):
        raise InvalidImage(f"The TIFF is damaged: its tag {tag} has {len(values)} values for {samples} samples.")
    if len(set(values)) > 1:
        raise UnsupportedMediaType(
            f"TIFF samples of different {name} are not supported. Save it with 8 bits per sample."
        )
    return values[0]
