"""The accepted image formats, told by a file's first bytes and never by its declared type.

Pillow's format classes are called directly: `Image.open` would also warn about large images, and warnings belong to
the whole process. Nothing here changes Pillow's global state, so any number of threads may decode at once.
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

MAX_READS = 300_000  # a third of a second of Pillow's Python; a JPEG of 20 MB in pieces of 64 kB takes 400


class Format(NamedTuple):
    """An accepted image format: its name, its first bytes, our reader of its header, and Pillow's class for it."""

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

# Named in the refusal, because these are what people send by mistake.
REFUSED = {
    "HEIC": re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL),
    "PDF": re.compile(rb"%PDF-"),
    "SVG": re.compile(rb"\s*<(svg|\?xml)"),
}


class Metered(BytesIO):
    """A file that may be read in so many pieces only.

    Pillow reads headers in Python, piece by piece: one of millions of tiny pieces would hold a thread for minutes.
    """

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS:
            raise InvalidImage("The file is made of too many tiny pieces. Save the image again.")
        return super().read(size)


def identify(data: bytes) -> Format:
    """Returns the format that the first bytes tell."""
    if not data:
        raise InvalidImage("The image is empty: it has 0 bytes.")
    for form in FORMATS:
        if form.signature.match(data):
            return form
    accepted = ", ".join(form.name for form in FORMATS)
    for name, signature in REFUSED.items():
        if signature.match(data):
            raise UnsupportedMediaType(f"{name} is not accepted. Send one of {accepted}.")
    raise UnsupportedMediaType(f"These bytes are no image in an accepted format: {accepted}.")


@contextmanager
def decoder_errors(format_name: str) -> Iterator[None]:
    """Turns what readers and Pillow raise over bad bytes into our errors: its plugins raise almost any exception."""
    try:
        yield
    except ServiceError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"The {format_name} announces far too many pixels.") from None
    except Exception as error:
        if isinstance(error, EOFError) or re.search("truncated|unpack_from requires", str(error), re.IGNORECASE):
            raise InvalidImage(f"The {format_name} is truncated: the file ends before the image does.") from error
        raise InvalidImage(f"The {format_name} is damaged and cannot be decoded.") from error
