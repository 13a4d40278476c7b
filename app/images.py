"""Untrusted bytes to RGB: formats, size, orientation, colours. The only file of `app` that imports Pillow.

What a file is, is told by its first bytes, never by its declared type. Its size is read from the header and refused
before a pixel is decoded. `notes` says what was done to the pixels, in the words of the HTTP contract.

Pillow's format classes are called directly: `Image.open` would also warn about large images, and warnings belong to
the whole process. Nothing here changes Pillow's global state, so any number of threads may decode at once.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, features
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from app.errors import ImageTooLarge, InvalidImage, ServiceError, UnsupportedMediaType

MAX_SIDE_PIXELS = 32_768
MAX_FRAMES = 1_000


class Format(NamedTuple):
    """An accepted image format: its name, its first bytes, and Pillow's class for it."""

    name: str
    signature: re.Pattern[bytes]
    open: Callable[[BytesIO], ImageFile]


FORMATS = [
    Format("JPEG", re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    Format("PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    Format("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    Format("GIF", re.compile(rb"GIF8[79]a"), GifImageFile),
    Format("BMP", re.compile(rb"BM"), BmpImageFile),
    Format("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
]
if features.check("avif"):  # Pillow can be built without it
    FORMATS.append(Format("AVIF", re.compile(rb"....ftyp(....){0,16}?avi[fs]", re.DOTALL), AvifImageFile))

# Named in the refusal, because these are what people send by mistake.
REFUSED = {
    "HEIC": re.compile(rb"....ftyp(hei|hev|mif1|msf1)", re.DOTALL),
    "PDF": re.compile(rb"%PDF-"),
    "SVG": re.compile(rb"\s*<(svg|\?xml)"),
}

# EXIF orientation -> what makes it upright.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PHOTOMETRIC, MIN_SAMPLE, MAX_SAMPLE = 262, 340, 341  # TIFF tags


class DecodedImage(NamedTuple):
    """An upright picture: `rgb` is [H, W, 3] uint8."""

    rgb: np.ndarray
    format: str
    notes: list[str]


def decode(data: bytes, max_image_pixels: int) -> DecodedImage:
    """Returns the picture in a file, upright, opaque and with 8 bits a channel.

    Raises:
        UnsupportedMediaType: The bytes are not of an accepted format.
        ImageTooLarge: The header announces too many pixels, too long a side or too many frames.
        InvalidImage: The file is empty, truncated or damaged, or its pixels have no defined colour.
    """
    form = identify(data)
    notes: list[str] = []
    with pillow_errors(form.name):
        image = form.open(BytesIO(data))
        check_size(image, max_image_pixels)
        frames = count_frames(image, data)
        if frames > 1:
            notes.append(f"first_frame_of_{frames}")
        samples = str(image.tile[0].args) if image.tile else ""  # how a pixel is stored, such as "RGB;16B"
        # A TIFF says its orientation first, and load() turns it; the others may say it after their pixels.
        turned = read_orientation(image) if form.name == "TIFF" else 1
        image.load()
        remaining = 1 if form.name == "TIFF" else read_orientation(image)
        upright = to_rgb(image, samples, notes)
        if remaining in UPRIGHT:
            upright = upright.transpose(UPRIGHT[remaining])
        if turned in UPRIGHT or remaining in UPRIGHT:
            notes.append("exif_orientation_applied")
        return DecodedImage(np.asarray(upright), form.name, notes)


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
def pillow_errors(format_name: str) -> Iterator[None]:
    """Turns what Pillow raises over bad bytes into our errors: its plugins raise almost any exception."""
    try:
        yield
    except ServiceError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"The {format_name} announces far too many pixels.") from None
    except Exception as error:
        if isinstance(error, EOFError) or "truncated" in str(error).lower():
            raise InvalidImage(f"The {format_name} is truncated: the file ends before the picture does.") from error
        raise InvalidImage(f"The {format_name} is damaged and cannot be decoded.") from error


def check_size(image: ImageFile, max_image_pixels: int) -> None:
    """Refuses by the header alone what would cost too much to decode."""
    width, height = image.size
    if width * height > max_image_pixels or max(width, height) > MAX_SIDE_PIXELS:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels. "
            f"At most {max_image_pixels:,} are accepted, and {MAX_SIDE_PIXELS:,} a side."
        )


def count_frames(image: ImageFile, data: bytes) -> int:
    """Returns how many frames or pages the file has, without decoding any."""
    if isinstance(image, GifImageFile):
        frames = count_gif_frames(data)
    elif isinstance(image, TiffImageFile):
        frames = count_tiff_pages(image)
    else:
        frames = getattr(image, "n_frames", 1)  # from the header
    if frames > MAX_FRAMES:
        raise ImageTooLarge(f"The image has more than {MAX_FRAMES:,} frames.")
    return frames


def count_tiff_pages(image: TiffImageFile) -> int:
    """Returns the number of pages, at most `MAX_FRAMES` + 1: `n_frames` would walk through millions."""
    pages = 1
    with suppress(EOFError):
        while pages <= MAX_FRAMES:
            image.seek(pages)
            pages += 1
    image.seek(0)
    return pages


def count_gif_frames(data: bytes) -> int:
    """Returns the number of frames, at most `MAX_FRAMES` + 1: `n_frames` would walk through millions."""

    def colours_bytes(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    frames = 0
    with suppress(IndexError):  # cut short; what counts is whether the first frame is whole
        position = 13 + colours_bytes(data[10])
        while frames <= MAX_FRAMES:
            if data[position] == 0x2C:  # a frame: descriptor, colours, code size
                frames += 1
                position += 11 + colours_bytes(data[position + 9])
            elif data[position] == 0x21:  # an extension
                position += 2
            else:  # the end
                break
            while data[position]:  # sub-blocks, each with its length in front
                position += data[position] + 1
            position += 1
    return frames


def read_orientation(image: ImageFile) -> int:
    """Returns the EXIF orientation, 1 to 8. A picture whose EXIF is damaged is still a picture: upright."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def to_rgb(image: ImageFile, samples: str, notes: list[str]) -> Image.Image:
    """Returns the loaded image with 8 bits a channel, transparency laid on white."""
    transparent = image.info.get("transparency")
    opaque: Image.Image = image
    if ";16" in samples or ";12" in samples:
        notes.append("reduced_from_16_bit")
        if isinstance(transparent, tuple):  # Pillow has reduced the pixels, but not the colour that is transparent
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
    if image.mode.startswith("I;16"):
        opaque = reduced_grey(image, 4 if ";12" in samples else 8)
        if isinstance(transparent, int):
            opaque.putalpha(Image.fromarray(np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)))
    elif image.mode == "F":
        notes.append("reduced_from_float")
        opaque = scaled_float(image)
    elif image.mode == "I":
        raise InvalidImage("Signed or 32-bit integer pixels have no defined white. Save the image with 8 or 16 bits.")
    elif image.mode == "CMYK":
        notes.append("converted_from_cmyk")
    elif image.mode == "La":  # Pillow converts it no further
        opaque = image.convert("LA")
    if not opaque.has_transparency_data:
        return opaque.convert("RGB")
    rgba = opaque.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):
        return rgba.convert("RGB")
    notes.append("alpha_composited_on_white")
    canvas = Image.new("RGB", rgba.size, "white")
    canvas.paste(rgba, mask=rgba)
    return canvas


def reduced_grey(image: ImageFile, shift: int) -> Image.Image:
    """Returns the high 8 bits, which is what Pillow keeps of 16-bit colours too; its own conversion clips at 255."""
    values = np.asarray(image) >> shift
    return Image.fromarray((255 - values if is_white_zero(image) else values).astype(np.uint8))


def scaled_float(image: ImageFile) -> Image.Image:
    """Returns floats as 8-bit grey: black and white are those that the file declares, else 0 and 1."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    black, white = (float(np.ravel(tags.get(tag, default))[0]) for tag, default in ((MIN_SAMPLE, 0), (MAX_SAMPLE, 1)))
    values = np.asarray(image)
    if not (white > black and values.min() >= black and values.max() <= white):  # also refuses NaN
        raise InvalidImage(
            f"The float pixels are not all between {black:g} and {white:g}. "
            "Scale them to 0..1, or declare their range (SMinSampleValue, SMaxSampleValue)."
        )
    grey = np.rint((values - black) * (255 / (white - black))).astype(np.uint8)
    return Image.fromarray(255 - grey if is_white_zero(image) else grey)


def is_white_zero(image: ImageFile) -> bool:
    """Returns whether 0 is white, which Pillow heeds for 8 bits only."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0
