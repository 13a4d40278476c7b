"""Reads TIFF files by their tags. Pillow decodes the usual layouts, and tifffile all others."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.raster import ColourSpace, Header, Raster, ReadOptions
from app.images.readers.tiff_layouts import SAVE, check_pieces, check_supported, pillow_has_pixels, pillow_has_samples
from app.images.readers.tiff_page import (
    CIE_LAB,
    CMYK,
    FLOAT,
    ICC_LAB,
    OLD_JPEG,
    PALETTE,
    WHITE_IS_ZERO,
    Page,
    read_page,
    read_size,
)
from app.images.readers.tiff_range import to_8_bits
from app.images.readers.tiff_samples import read_samples, samples_of
from app.images.readers.tiff_tags import Tags, find_pages


def read_header(data: bytes, frame: int = 0) -> Header:
    """Returns the size of a page, and the number of pages. If the file lacks this page, the size is the first one's.

    Raises:
        InvalidImage: The tags are damaged.
    """
    pages = find_pages(data)
    return Header(*read_size(Tags(data, pages[frame if frame < len(pages) else 0])), len(pages))


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns a page.

    Raises:
        UnsupportedMediaType: The page's colours, compression or layout are not supported.
        InvalidImage: The file is damaged, or it is not known which values are black and white.
    """
    page = read_page(Tags(data, find_pages(data)[options.frame]))
    check_supported(page)
    check_pieces(page, len(data))
    notes = reader_notes(page)
    colour_space = ColourSpace(icc=page.icc)
    if not (pillow_has_pixels(page) or pillow_has_samples(page)):
        image = image_of(read_samples(data, page, options.frame), page)
        orientation = page.orientation if 1 <= page.orientation <= 8 else 1
        return Raster(image, *image.size, notes, colour_space, orientation)
    loaded = TiffImageFile(BytesIO(data))
    loaded.seek(options.frame)
    if sorted(loaded.size) != sorted((page.width, page.height)):
        raise InvalidImage("The TIFF is damaged: it declares two different sizes.")
    orientation = read_orientation(loaded)  # Pillow's load() turns the image upright
    load(loaded, page)
    image = pillow_image(loaded, page) if pillow_has_pixels(page) else image_of(samples_of(loaded, page), page)
    if orientation > 1:
        notes += ("exif_orientation_applied",)
    return Raster(image, *image.size, notes, colour_space)


def reader_notes(page: Page) -> tuple[str, ...]:
    """Returns the notes on what `read` does to the samples."""
    notes: tuple[str, ...] = ()
    if page.sample_format == FLOAT:
        notes = ("reduced_from_float",)
    elif page.bits > 8 and page.photometric != PALETTE:
        notes = ("reduced_from_16_bit",)
    return (*notes, "alpha_composited_on_white") if page.photometric == CMYK and page.alpha is not None else notes


def read_orientation(image: TiffImageFile) -> int:
    """Returns the orientation that Pillow applies, 1 to 8, or 1 (upright) if it is missing or damaged."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def load(image: TiffImageFile, page: Page) -> None:
    """Decodes an image. Raises `UnsupportedMediaType` for an old-style JPEG that Pillow cannot decode."""
    try:
        image.load()
    except OSError:
        if page.compression == OLD_JPEG:
            raise UnsupportedMediaType(f"This kind of old-style JPEG is not supported in TIFF. {SAVE}") from None
        raise


def pillow_image(image: Image.Image, page: Page) -> Image.Image:
    """Returns an image that Pillow has loaded in one of the modes of `Raster`."""
    if page.photometric == PALETTE:
        image.putpalette(palette(page).tobytes())
        return image.convert("RGBA") if image.mode == "PA" else image
    if image.mode in ("1", "YCbCr"):
        return image.convert("L" if image.mode == "1" else "RGB")
    return image


def palette(page: Page) -> NDArray[np.uint8]:
    """Returns the colours of a palette, [colours, 3]. Some programs write 8-bit instead of 16-bit values."""
    colours = page.colour_map.reshape(3, -1).T
    return (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8)


def image_of(samples: NDArray[np.generic], page: Page) -> Image.Image:
    """Returns samples of any type as an image in one of the modes of `Raster`."""
    height, width = samples.shape[:2]
    channels = 3 if page.photometric == PALETTE else page.colours
    pixels = np.empty((height, width, channels + (page.alpha is not None)), np.uint8)
    colours, alpha = pixels[..., :channels], pixels[..., channels:]
    if page.photometric == PALETTE:
        colours[...] = palette(page)[samples[..., 0].astype(np.uint16)]
    else:
        to_8_bits(samples[..., : page.colours], page, 0, colours)
    if page.alpha is not None:
        to_8_bits(samples[..., page.alpha : page.alpha + 1], page, page.alpha, alpha)
    if page.photometric == WHITE_IS_ZERO:
        white = alpha if page.premultiplied else np.uint8(255)
        colours[...] = white - np.minimum(colours, white)
    if page.photometric == ICC_LAB:
        colours[..., 1:] ^= 128  # a and b are not signed as in CIE Lab
    if page.photometric == CMYK and page.alpha is not None:
        if not page.premultiplied:  # on white, a transparent ink is less ink
            colours[...] = (colours.astype(np.uint16) * alpha + 127) // 255
        pixels = np.ascontiguousarray(colours)
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
    mode = {CMYK: "CMYK", CIE_LAB: "LAB", ICC_LAB: "LAB"}.get(page.photometric, mode)
    if page.premultiplied and mode != "CMYK":
        mode = mode.replace("A", "a")
    return Image.frombuffer(mode, (width, height), pixels, "raw", mode, 0, 1)
