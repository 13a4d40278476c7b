"""Decodes the samples of a TIFF page as numbers, in any layout. The package tifffile does it, or Pillow."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile
from tifffile import TiffFile

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.readers.tiff_layouts import COMPRESSIONS, SAMPLE_NAMES
from app.images.readers.tiff_page import FLOAT, SIGNED, UNSIGNED, Page

KINDS = {UNSIGNED: "bu", SIGNED: "i", FLOAT: "f"}  # SampleFormat -> NumPy's kinds of types


def read_samples(data: bytes, page: Page, index: int) -> NDArray[np.generic]:
    """Returns the samples of a page as stored, [height, width, samples].

    Args:
        data: The file.
        page: How the samples are stored.
        index: The number of the page, from 0.

    Raises:
        UnsupportedMediaType: The layout needs the package imagecodecs, which is not installed.
        InvalidImage: The samples are not those that the tags declare.
    """
    with TiffFile(BytesIO(data)) as file:
        try:
            samples = file.pages[index].asarray(squeeze=False, maxworkers=1)
        except (ValueError, NotImplementedError) as error:
            if "imagecodecs" not in str(error):
                raise
            predictor = f", predictor {page.predictor}" if page.predictor > 1 else ""
            raise UnsupportedMediaType(
                f"The TIFF has {COMPRESSIONS[page.compression]} compression{predictor} and {page.samples} "
                f"{SAMPLE_NAMES[page.sample_format]} samples of {page.bits} bits. This is only supported if the "
                "package imagecodecs is installed on the server. Or save the image uncompressed or with deflate, "
                "without a predictor, and with 8 or 16 bits per sample."
            ) from None
    planes, contiguous = (page.samples, 1) if page.planar else (1, page.samples)
    if samples.shape != (planes, 1, page.height, page.width, contiguous) or not fits(samples.dtype, page):
        raise InvalidImage("The TIFF is damaged: its samples are not those that its tags declare.")
    return np.moveaxis(samples[:, 0, ..., 0], 0, 2) if page.planar else samples[0, 0]


def fits(dtype: np.dtype[np.generic], page: Page) -> bool:
    """Returns whether an array's type is that of the page's samples."""
    return dtype.kind in KINDS[page.sample_format] and (dtype.kind == "b" or dtype.itemsize * 8 >= page.bits)


def samples_of(image: TiffImageFile, page: Page) -> NDArray[np.generic]:
    """Returns the samples of an image that Pillow has loaded, [height, width, 1]."""
    samples = np.asarray(image)[..., None]
    if page.bits == 8:
        return samples.view(np.int8)
    if page.sample_format == UNSIGNED and page.bits == 32:
        return samples.view(np.uint32)
    return samples
