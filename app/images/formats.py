"""The accepted image formats. A file's format is identified by its first bytes, never by its declared type.

Pillow's format classes are called directly: `Image.open` would also warn about large images, and warning filters are
global. Nothing here changes Pillow's global state, so several threads can decode at the same time.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import NamedTuple

from PIL import Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import ImageTooLarge, InvalidImage, ServiceError, UnsupportedMediaType
from app.images.avif import read_avif
from app.images.headers import Header, read_bmp, read_gif, read_jpeg, read_png, read_tiff, read_webp

MAX_READS = 300_000  # a third of a second in Pillow's Python code; a 20 MB JPEG in pieces of 64 kB needs 400 reads


class Format(NamedTuple):
    """An accepted image format: name, first bytes, our header reader, and Pillow's class."""

    name: str
    signature: re.Pattern[bytes]
    read_header: Callable[[bytes], Header]
    open: Callable[[BytesIO], ImageFile]


FORMATS = [
    Format("JPEG", re.compile(rb"\xff\xd8\xff"), read_jpeg, JpegImageFile),
    Format("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), read_png, PngImageFile),
    Format("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL), read_webp, WebPImageFile),
    Format("GIF", re.compile(rb"GIF8[79]a"), read_gif, GifImageFile),
    Format("BMP", re.compile(rb"BM"), read_bmp, BmpImageFile),
    Format("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), read_tiff, TiffImageFile),
]
if features.check("avif"):  # Pillow can be built without it
    avif = re.compile(rb"....ftyp(....){0,16}?avi[fs]", re.DOTALL)
    FORMATS.append(Format("AVIF", avif, read_avif, AvifImageFile))

# Formats that people often send by mistake. The error names them.
REFUSED = {
    "HEIC": re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL),
    "PDF": re.compile(rb"%PDF-"),
    "SVG": re.compile(rb"\s*<(svg|\?xml)"),
}


class Metered(BytesIO):
    """A file that raises `InvalidImage` after `MAX_READS` reads.

    Pillow reads headers piece by piece in Python: millions of tiny pieces would block a thread for minutes.
    """

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise InvalidImage("The file consists of too many tiny pieces. Save the image again.")
        return super().read(size)


def identify(data: bytes) -> Format:
    """Returns the format that a file's first bytes identify.

    Raises:
        InvalidImage: The file is empty.
        UnsupportedMediaType: The format is not accepted.
    """
    if not data:
        raise InvalidImage("The image is empty: it has 0 bytes.")
    for image_format in FORMATS:
        if image_format.signature.match(data):
            return image_format
    accepted = ", ".join(image_format.name for image_format in FORMATS)
    for name, signature in REFUSED.items():
        if signature.match(data):
            raise UnsupportedMediaType(f"{name} is not accepted. Send one of {accepted}.")
    raise UnsupportedMediaType(f"The file is not an image in an accepted format. Send one of {accepted}.")


@contextmanager
def decoder_errors(format_name: str) -> Iterator[None]:
    """Converts errors of the header readers and of Pillow into ours. Pillow's plugins raise almost any exception."""
    try:
        yield
    except ServiceError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"The {format_name} declares far too many pixels.") from None
    except Exception as error:
        if isinstance(error, EOFError) or re.search("truncated|unpack_from requires", str(error), re.IGNORECASE):
            raise InvalidImage(f"The {format_name} is truncated: the file ends before the image does.") from error
        raise InvalidImage(f"The {format_name} is damaged and cannot be decoded.") from error
