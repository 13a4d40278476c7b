"""The image formats, identified by a file's content and never by its declared type."""

import re
from typing import NamedTuple, Protocol

from PIL import features

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.raster import Header, Raster, ReadOptions
from app.images.readers import avif, bmp, gif, heif, jpeg, jpeg_xl, png, tiff, webp
from app.images.unsupported import decoded_base64, find_kind, is_raw_photo


class Reader(Protocol):
    """A module of `readers`. Both functions may raise any exception for a damaged file: see `decoder_errors`."""

    def read_header(self, data: bytes, frame: int, /) -> Header:
        """Returns the size of a frame and the number of frames, without decoding. `frame` may not exist."""

    def read(self, data: bytes, options: ReadOptions, /) -> Raster:
        """Returns the samples of a frame as the file stores them."""


class Format(NamedTuple):
    """An accepted image format: its name, its first bytes, and its reader."""

    name: str
    signature: re.Pattern[bytes]
    reader: Reader


FORMATS = [
    Format("JPEG", re.compile(rb"\xff\xd8\xff"), jpeg),
    Format("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), png),
    Format("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL), webp),
    Format("GIF", re.compile(rb"GIF8[79]a"), gif),
    Format("BMP", re.compile(rb"BM.{12}[\x0c-\x7c]\0\0\0", re.DOTALL), bmp),
    Format("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), tiff),
]
if features.check("avif"):  # Pillow can be built without it
    signature = re.compile(rb"....ftyp(....){0,16}?avi[fs]", re.DOTALL)
    FORMATS.append(Format("AVIF", signature, avif))
heif_brands = re.compile(rb"....ftyp(....){0,16}?(hei[cxms]|hev[cxms]|mif[12]|msf1)", re.DOTALL)
jpeg_xl_starts = re.compile(rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n")
FORMATS += [
    Format("HEIF", heif_brands, heif),
    Format("JPEG XL", jpeg_xl_starts, jpeg_xl),
]

ACCEPTED = [form.name for form in FORMATS if form.reader is not jpeg_xl or jpeg_xl.is_installed()]


def identify(data: bytes) -> Format:
    """Returns the format that a file's content identifies.

    Raises:
        InvalidImage: The file is empty.
        UnsupportedMediaType: The format is not accepted. The message names it if it is known.
    """
    if not data:
        raise InvalidImage("The image is empty: it has 0 bytes.")
    accepted = f"Send one of {', '.join(ACCEPTED)}."
    if is_raw_photo(data):  # such files begin like a TIFF
        raise UnsupportedMediaType(f"Camera RAW is not accepted. {accepted} Export the photo as JPEG.")
    if image_format := find_format(data):
        return image_format
    if kind := find_kind(data):
        raise UnsupportedMediaType(f"{kind.name} is not accepted. {accepted} {kind.remedy}".rstrip())
    if find_format(decoded_base64(data)):
        raise UnsupportedMediaType(f"Base64 text is not accepted as a file. {accepted} Decode it, and send the bytes.")
    raise UnsupportedMediaType(f"The file is not an image in an accepted format. {accepted}")


def find_format(data: bytes) -> Format | None:
    """Returns the accepted format whose signature a file has, or None."""
    return next((image_format for image_format in FORMATS if image_format.signature.match(data)), None)
