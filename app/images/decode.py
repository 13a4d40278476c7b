"""Decodes untrusted image files to upright 8-bit sRGB.

    identify -> read_header: size and frames -> read: samples as stored -> to_srgb

The service runs all of this in worker processes (`workers`), which limit memory and time.
"""

from typing import NamedTuple

from PIL import Image

from app.errors import ImageTooLarge, InvalidImage
from app.images.colours.convert import to_srgb
from app.images.decoder_errors import decoder_errors
from app.images.identify import identify
from app.images.raster import MAX_FRAMES, MAX_SIDE_PIXELS, ReadOptions

# Grows whenever the pixels of some file change. CHANGELOG.md says of which.
PIXEL_PIPELINE = 2


class DecodeOptions(NamedTuple):
    """How to decode an image.

    Attributes:
        max_image_pixels: The most pixels that the header may declare.
        convert_profiles: Whether to convert colours as the file describes them, or to keep the samples.
        least_side: If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, with both sides at least this
            long. The decoder then skips the highest frequencies.
        frame: The frame or page, counted from 0.
    """

    max_image_pixels: int
    convert_profiles: bool = True
    least_side: int | None = None
    frame: int = 0


class DecodedImage(NamedTuple):
    """An upright sRGB image. `width` and `height` are those of the file; `rgb` is smaller if its size was reduced."""

    rgb: Image.Image
    width: int
    height: int
    format: str
    notes: list[str]


def decode(data: bytes, options: DecodeOptions) -> DecodedImage:
    """Returns the image in a file, upright, opaque and with 8 bits per channel.

    Raises:
        UnsupportedMediaType: The file does not have an accepted format, or uses a variant that is not supported.
        ImageTooLarge: The header declares too many pixels, too long a side or too many frames.
        ImageTooExpensive: Decoding needs too much memory.
        InvalidImage: The file is empty, truncated or damaged, has no such frame, or its colours are not defined.
    """
    image_format = identify(data)
    with decoder_errors(image_format.name):
        header = image_format.reader.read_header(data, options.frame)
        check_size(header.width, header.height, options.max_image_pixels)
        check_frames(header.frames, options.frame)
    with decoder_errors(image_format.name, pixels=header.width * header.height):
        raster = image_format.reader.read(data, ReadOptions(options.frame, options.least_side))
        check_size(raster.width, raster.height, options.max_image_pixels)  # a decoder may find another size
        rgb, notes = to_srgb(raster, convert_profiles=options.convert_profiles)
    width, height = raster.width, raster.height
    if raster.orientation > 4:
        width, height = height, width
    return DecodedImage(rgb, width, height, image_format.name, frame_notes(rgb, options.frame, header.frames) + notes)


def check_size(width: int, height: int, max_image_pixels: int) -> None:
    """Raises `ImageTooLarge` if the image has too many pixels, or too long a side."""
    if width * height > max_image_pixels or max(width, height) > MAX_SIDE_PIXELS:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels. "
            f"At most {max_image_pixels:,} pixels are accepted, and {MAX_SIDE_PIXELS:,} per side."
        )


def check_frames(frames: int, frame: int) -> None:
    """Raises `ImageTooLarge` if a file has more than `MAX_FRAMES` frames or pages, `InvalidImage` if it lacks one."""
    if frames > MAX_FRAMES:
        raise ImageTooLarge(f"The image has more than {MAX_FRAMES:,} frames or pages. Send fewer.")
    if frame >= frames:
        count = f"{frames} frames or pages" if frames > 1 else "one frame"
        raise InvalidImage(f"The image has {count}, so there is no frame {frame}. Frames are counted from 0.")


def frame_notes(rgb: Image.Image, frame: int, frames: int) -> list[str]:
    """Returns the notes on which frame of a file was used, and whether it is blank."""
    if frames == 1:
        return []
    notes = [f"frame_{frame}_of_{frames}" if frame else f"first_frame_of_{frames}"]
    if len(rgb.getcolors(1) or ()) == 1:
        notes.append("blank_frame")
    return notes
