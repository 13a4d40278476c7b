"""Which layouts of TIFF samples are read, and by which package. `test_tiff_layouts.py` has files of each."""

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.readers.tiff_page import (
    ALPHA,
    BLACK_IS_ZERO,
    CCITT,
    CIE_LAB,
    CMYK,
    COLOURS,
    COREL_ALPHA,
    FLOAT,
    ICC_LAB,
    JPEG,
    OLD_JPEG,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
    Page,
)

SAVE = "Save it as RGB with 8 bits per sample."

UNSUPPORTED_PHOTOMETRICS = {
    4: "A transparency mask",
    10: "ITU Lab",
    32803: "Camera RAW (colour filter array)",
    32844: "LogL",
    32845: "LogLuv",
    34892: "Camera RAW (linear)",
    51177: "A depth map",
}
SAMPLE_NAMES = {UNSIGNED: "integer", SIGNED: "signed integer", FLOAT: "float"}

# Compression -> name. The last two rows need the package imagecodecs.
COMPRESSIONS = {
    **{1: "no", 8: "deflate", 32773: "PackBits", 32946: "deflate", 34925: "LZMA", 50000: "Zstandard", 5: "LZW"},
    **{2: "CCITT", 3: "CCITT Group 3", 4: "CCITT Group 4", OLD_JPEG: "old-style JPEG", JPEG: "JPEG"},
    **{34887: "LERC", 34926: "Zstandard", 34933: "PNG", 22610: "JPEG XR", 34934: "JPEG XR", 34712: "JPEG 2000"},
    **{33003: "JPEG 2000", 33005: "JPEG 2000", 34927: "WebP", 50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL"},
}
IN_TIFFFILE = {1, 8, 32773, 32946, 34925}  # without imagecodecs
IN_PILLOW = {*IN_TIFFFILE, *CCITT, 5, OLD_JPEG, JPEG, 50000}
WITH_PREDICTOR = {5, 8, 32946, 34925, 34926, 50000}  # Pillow ignores the tag Predictor elsewhere, tifffile does not

# The extra samples that Pillow reads correctly, with 8 bits and with 16 bits.
EXTRA_8: dict[int, list[tuple[int, ...]]] = {
    WHITE_IS_ZERO: [()],
    BLACK_IS_ZERO: [(), (0,), (PREMULTIPLIED,), (ALPHA,)],
    RGB: [(COREL_ALPHA,), *(alpha + (0,) * n for alpha in ((), (PREMULTIPLIED,), (ALPHA,)) for n in (0, 1, 2))],
    PALETTE: [(), (0,), (ALPHA,)],
    CMYK: [(), (0,), (0, 0)],
    YCBCR: [()],
    CIE_LAB: [()],
}
EXTRA_16: dict[int, list[tuple[int, ...]]] = {RGB: [(), (0,), (PREMULTIPLIED,), (ALPHA,)], CMYK: [()]}

# Single samples of which Pillow returns all bits: SampleFormat, bits and PhotometricInterpretation.
SINGLE = [(UNSIGNED, 16, BLACK_IS_ZERO), (SIGNED, 8, BLACK_IS_ZERO)]
LITTLE_ENDIAN_SINGLE = [
    *SINGLE,
    (UNSIGNED, 12, BLACK_IS_ZERO),
    (UNSIGNED, 16, WHITE_IS_ZERO),
    (SIGNED, 16, BLACK_IS_ZERO),
    (UNSIGNED, 32, BLACK_IS_ZERO),
    (SIGNED, 32, BLACK_IS_ZERO),
    (FLOAT, 32, BLACK_IS_ZERO),
    (FLOAT, 32, WHITE_IS_ZERO),
]


def check_supported(page: Page) -> None:
    """Checks that the meaning and the compression of a page's samples are supported.

    Raises:
        UnsupportedMediaType: One of them is not.
        InvalidImage: The tags contradict each other.
    """
    if page.photometric not in COLOURS:
        name = UNSUPPORTED_PHOTOMETRICS.get(page.photometric, f"PhotometricInterpretation {page.photometric}")
        raise UnsupportedMediaType(f"{name} is not supported in TIFF. {SAVE}")
    if page.compression in WITH_PREDICTOR:
        predictor = page.predictor in (1, 2, 3)
    else:
        predictor = page.predictor == 1 or pillow_has_pixels(page)
    if page.compression not in COMPRESSIONS or not predictor:
        name = f"Compression {page.compression} with Predictor {page.predictor}"
        raise UnsupportedMediaType(f"{name} is not supported in TIFF. Save it uncompressed, or with LZW or deflate.")
    if page.sample_format not in SAMPLE_NAMES:
        raise UnsupportedMediaType(f"TIFF with complex or undefined samples is not supported. {SAVE}")
    if page.depth > 1:
        raise UnsupportedMediaType("TIFF volumes are not supported. Save each slice as a page.")
    if page.colours != COLOURS[page.photometric]:
        raise InvalidImage(
            f"The TIFF is damaged: it has {page.samples} samples per pixel, but its colours need "
            f"{COLOURS[page.photometric]}, and its tag ExtraSamples declares {len(page.extra)} more."
        )
    check_colours(page)


def check_colours(page: Page) -> None:
    """Checks what is particular to some colours and compressions. Raises the same errors as `check_supported`."""
    integers = page.sample_format == UNSIGNED
    if page.photometric == CMYK and page.ink_set != 1:
        raise UnsupportedMediaType(f"TIFF with inks other than CMYK is not supported. {SAVE}")
    if page.photometric in (CIE_LAB, ICC_LAB) and not (integers and page.bits in (8, 16) and page.alpha is None):
        raise UnsupportedMediaType(f"Lab TIFF is only supported with 8 or 16 bits per sample and without alpha. {SAVE}")
    if page.photometric == PALETTE and not (integers and page.bits <= 16 and len(page.colour_map) == 3 << page.bits):
        raise InvalidImage("The TIFF is damaged: its palette does not have a colour for each value.")
    if page.photometric == YCBCR and not pillow_has_pixels(page):
        name = f"YCbCr TIFF with {COMPRESSIONS[page.compression]} compression and {page.bits} bits per sample"
        raise UnsupportedMediaType(f"{name} is not supported in this layout. {SAVE}")
    if page.compression in (*CCITT, OLD_JPEG) and not pillow_has_pixels(page):
        name = COMPRESSIONS[page.compression]
        raise UnsupportedMediaType(f"{name} compression of a TIFF in this layout is not supported. {SAVE}")


def check_pieces(page: Page, file_bytes: int) -> None:
    """Raises `InvalidImage` if there are not exactly the strips or tiles that the page needs, each inside the file."""
    if page.compression == OLD_JPEG and not len(page.offsets):
        return
    across, down = (-(-side // max(piece, 1)) for side, piece in zip((page.width, page.height), page.tile, strict=True))
    needed = across * down * (page.samples if page.planar else 1)
    padded_pixels = across * page.tile[0] * down * page.tile[1]
    # A tile may be larger than a small image: up to 16 megapixels.
    if len(page.offsets) > needed or padded_pixels > 4 * page.width * page.height + 2**24:
        raise InvalidImage("The TIFF has more or larger strips or tiles than its image needs. Save it again.")
    if len(page.offsets) < needed or min(page.tile) < 1:
        raise InvalidImage("The TIFF is damaged: it has fewer strips or tiles than its image needs.")
    if page.offsets.min() < 8 or page.offsets.max() >= file_bytes:
        raise InvalidImage("The TIFF is truncated or damaged: some of its strips or tiles are outside the file.")
    if not pillow_has_pixels(page) and (len(page.lengths) != needed or not page.lengths.all()):
        raise InvalidImage("The TIFF is damaged: some of its strips or tiles have no length.")
    # Without compression, decoders know the length, and some programs write another.
    if page.compression != 1 and len(page.lengths) == needed and (page.lengths > file_bytes - page.offsets).any():
        raise InvalidImage("The TIFF is truncated: the file ends before the image does.")


def pillow_has_pixels(page: Page) -> bool:
    """Returns whether Pillow reads the page correctly with 8 bits."""
    compressed = page.compression != 1
    extra = page.extra in EXTRA_8.get(page.photometric, [])
    if page.photometric == YCBCR:
        # Uncompressed chroma is neither enlarged nor scaled.
        right = page.bits == 8 and (compressed or (page.subsampling == (1, 1) and not page.reference_black_white))
    elif page.bits == 16:
        extra = page.extra in EXTRA_16.get(page.photometric, [])
        right = page.bits_used == 16 and (compressed or not page.planar)
    else:
        right = page.bits == 8 or (page.bits in (1, 2, 4) and page.samples == 1)
    if page.planar:
        planes = page.photometric in (RGB, CMYK) and page.extra in ((), (ALPHA,))
        right &= compressed if page.samples == 1 else planes
    if page.fill_order != 1:
        right &= compressed and page.extra == () and page.photometric <= PALETTE and page.bits <= 8
    if page.compression == OLD_JPEG:
        right &= page.photometric == YCBCR
    return right and extra and page.sample_format == UNSIGNED and pillow_opens(page)


def pillow_has_samples(page: Page) -> bool:
    """Returns whether Pillow returns all bits of the samples, and tifffile alone could not read them."""
    if page.compression in IN_TIFFFILE and page.bits in (8, 16, 32, 64) and page.predictor != 3:
        return False
    layout = (page.sample_format, page.bits, page.photometric)
    right = layout in (SINGLE if page.big_endian else LITTLE_ENDIAN_SINGLE) and page.samples == 1
    right &= page.fill_order == 1 and not (page.planar and page.compression == 1)
    return right and page.compression not in (OLD_JPEG, JPEG) and pillow_opens(page)


def pillow_opens(page: Page) -> bool:
    """Returns whether Pillow knows the compression, and finds the tags. Without a photometric, it assumes another."""
    known = page.photometric_declared or page.compression in (*CCITT, OLD_JPEG)
    return known and page.compression in IN_PILLOW and not (page.big_endian and page.big_tiff)
