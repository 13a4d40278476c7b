"""Decodes untrusted image files to upright 8-bit RGB.

The header is read first, and a file that would cost too much is rejected before a pixel is decoded. `formats`
identifies a file's format, `headers` reads its header, and `colours` converts its pixels. `notes` lists what was done
to the pixels, with the codes of the HTTP API.
"""

from typing import NamedTuple

from PIL import ExifTags, Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from app.errors import ImageTooLarge
from app.images.colours import to_rgb
from app.images.formats import FORMATS, Metered, decoder_errors, identify
from app.images.headers import MAX_FRAMES, MAX_SIDE_PIXELS

__all__ = ["FORMATS", "MAX_FRAMES", "MAX_SIDE_PIXELS", "DecodedImage", "decode", "identify"]


class DecodedImage(NamedTuple):
    """An upright RGB image. `width` and `height` are those of the file; `rgb` is smaller if its size was reduced."""

    rgb: Image.Image
    width: int
    height: int
    format: str
    notes: list[str]


def decode(data: bytes, max_image_pixels: int, *, least_side: int | None = None) -> DecodedImage:
    """Returns the image in a file, upright, opaque and with 8 bits per channel.

    Args:
        data: The file.
        max_image_pixels: The most pixels that the header may declare.
        least_side: If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, with both sides at least this
            long. The decoder then skips the highest frequencies.

    Raises:
        UnsupportedMediaType: The file does not have an accepted format.
        ImageTooLarge: The header declares too many pixels, too long a side or too many frames.
        InvalidImage: The file is empty, truncated or damaged, would take too long, or its colours are not defined.
    """
    image_format = identify(data)
    notes: list[str] = []
    with decoder_errors(image_format.name):
        header = image_format.read_header(data)
        check_size(header.width, header.height, max_image_pixels)
        check_frames(header.frames)
        image = image_format.open(Metered(data))
        check_size(*image.size, max_image_pixels)  # Pillow may read another size from the file
        # For GIF and TIFF, Pillow would read the whole file to count the frames.
        frames = header.frames if image_format.name in ("GIF", "TIFF") else getattr(image, "n_frames", 1)
        check_frames(frames)
        if frames > 1:
            notes.append(f"first_frame_of_{frames}")
        samples = str(image.tile[0].args) if image.tile else ""  # how a pixel is stored, such as "RGB;16B"
        # Pillow's load() turns a TIFF upright. The EXIF of other formats can follow the pixels, so it is read later.
        tiff_orientation = read_orientation(image) if image_format.name == "TIFF" else 1
        width, height = image.size
        if least_side and isinstance(image, JpegImageFile):
            image.draft(None, (least_side, least_side))  # None keeps the colour mode
        image.load()
        orientation = 1 if image_format.name == "TIFF" else read_orientation(image)
        rgb = to_rgb(image, samples, orientation, notes)
        if tiff_orientation > 1:
            notes.append("exif_orientation_applied")
        if orientation > 4:  # not for a TIFF, whose size is already that of the upright image
            width, height = height, width
        return DecodedImage(rgb, width, height, image_format.name, notes)


def check_size(width: int, height: int, max_image_pixels: int) -> None:
    """Raises `ImageTooLarge` if the image has too many pixels, or too long a side."""
    if width * height > max_image_pixels or max(width, height) > MAX_SIDE_PIXELS:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels. "
            f"At most {max_image_pixels:,} pixels are accepted, and {MAX_SIDE_PIXELS:,} per side."
        )


def check_frames(frames: int) -> None:
    """Raises `ImageTooLarge` if a file has more than `MAX_FRAMES` frames or pages."""
    if frames > MAX_FRAMES:
        raise ImageTooLarge(f"The image has more than {MAX_FRAMES:,} frames or pages. Send fewer.")


def read_orientation(image: ImageFile) -> int:
    """Returns the EXIF orientation, 1 to 8, or 1 (upright) if it is missing or damaged."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1
    return orientation if 1 <= orientation <= 8 else 1
