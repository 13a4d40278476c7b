"""Reads JPEG files. Pillow decodes the pixels, from a copy of the file without metadata."""

from io import BytesIO

from PIL.JpegImagePlugin import JpegImageFile

from app.images.raster import ColourSpace, Header, Raster, ReadOptions
from app.images.readers.exif import read_orientation
from app.images.readers.jpeg_end import END, complete_pixels
from app.images.readers.jpeg_segments import EXIF_OR_XMP, ICC, LOSSLESS, Parts, find_frame, take_apart

XMP = b"http://ns.adobe.com/xap/1.0/\0"
ICC_PROFILE = b"ICC_PROFILE\0"


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header."""
    frame = find_frame(data)
    return Header(frame.width, frame.height)


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns the first image of a file.

    The decoder may compute a smaller version of it, see `ReadOptions.least_side`.

    Raises:
        InvalidImage: Pixels are missing or damaged.
        UnsupportedMediaType: The coding is not supported.
    """
    parts = take_apart(data)
    notes: tuple[str, ...] = ()
    pixels = parts.pixels
    if not parts.ended:
        pixels = complete_pixels(parts)
        notes = ("end_marker_missing",)
    image = JpegImageFile(BytesIO(parts.header + pixels + END))
    if options.least_side and parts.frame.coding != LOSSLESS:  # lossless JPEG has no smaller versions
        image.draft(None, (options.least_side, options.least_side))  # None keeps the colour mode
    image.load()
    notes = (("converted_from_cmyk",) if image.mode == "CMYK" else ()) + notes
    icc, profile_notes = read_profile(parts)
    return Raster(
        image,
        parts.frame.width,
        parts.frame.height,
        notes + profile_notes,
        ColourSpace(icc=icc),
        orientation(parts),
    )


def read_profile(parts: Parts) -> tuple[bytes | None, tuple[str, ...]]:
    """Returns the ICC profile, whose pieces are numbered from 1, and notes."""
    pieces = [
        body.removeprefix(ICC_PROFILE)
        for kind, body in parts.applications
        if kind == ICC and body.startswith(ICC_PROFILE)
    ]
    if not pieces:
        return None, ()
    numbered = {piece[0]: piece[2:] for piece in pieces if piece[1:2] == bytes([len(pieces) & 255])}
    numbers = range(1, len(pieces) + 1)
    if sorted(numbered) != list(numbers):
        return None, ("colour_profile_ignored",)
    return b"".join(numbered[number] for number in numbers) or None, ()


def orientation(parts: Parts) -> int:
    """Returns the EXIF orientation, 1 to 8."""
    bodies = [body for kind, body in parts.applications if kind == EXIF_OR_XMP]
    xmp = next((body for body in bodies if body.startswith(XMP)), b"")
    return read_orientation([body for body in bodies if body.startswith(b"Exif\0")], xmp)
