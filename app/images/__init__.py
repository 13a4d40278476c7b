"""The front door for untrusted images: bytes to upright 8-bit RGB.

The header is read first, and what would cost too much is refused by it before a pixel is decoded. `formats` tells what
a file is, `headers` what it announces, `colours` what its pixels become. `notes` says what was done to the pixels, in
the words of the HTTP contract.
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
    """An upright image in RGB; `width` and `height` are the file's, which may be larger."""

    rgb: Image.Image
    width: int
    height: int
    format: str
    notes: list[str]


def decode(data: bytes, max_image_pixels: int, *, least_side: int | None = None) -> DecodedImage:
    """Returns the image in a file, upright, opaque and with 8 bits a channel.

    Args:
        data: The file.
        max_image_pixels: The most that its header may announce.
        least_side: Where given, a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as no
            side becomes shorter than this. The decoder then leaves out the finest waves instead of computing them.

    Raises:
        UnsupportedMediaType: The bytes are not of an accepted format.
        ImageTooLarge: The header announces too many pixels, too long a side or too many frames.
        InvalidImage: The file is empty, truncated or damaged, would take far too long, or has no defined colour.
    """
    form = identify(data)
    notes: list[str] = []
    with decoder_errors(form.name):
        header = form.read_header(data)
        check_size(header.width, header.height, max_image_pixels)
        check_frames(header.frames)
        image = form.open(Metered(data))
        check_size(*image.size, max_image_pixels)  # Pillow may have read another size than we did
        # GIF and TIFF would be walked through to the end; the others know it from their header.
        frames = header.frames if form.name in ("GIF", "TIFF") else getattr(image, "n_frames", 1)
        check_frames(frames)
        if frames > 1:
            notes.append(f"first_frame_of_{frames}")
        samples = str(image.tile[0].args) if image.tile else ""  # how a pixel is stored, such as "RGB;16B"
        # A TIFF says its orientation first, and load() turns it; the others may say it after their pixels.
        turned = read_orientation(image) if form.name == "TIFF" else 1
        width, height = image.size
        if least_side and isinstance(image, JpegImageFile):
            image.draft(None, (least_side, least_side))  # None: the colours stay what they are
        image.load()
        orientation = 1 if form.name == "TIFF" else read_orientation(image)
        rgb = to_rgb(image, samples, orientation, notes)
        if turned > 1:
            notes.append("exif_orientation_applied")
        if orientation > 4:  # a TIFF's are upright from the start
            width, height = height, width
        return DecodedImage(rgb, width, height, form.name, notes)


def check_size(width: int, height: int, max_image_pixels: int) -> None:
    """Refuses by the header alone what would cost too much to decode."""
    if width * height > max_image_pixels or max(width, height) > MAX_SIDE_PIXELS:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels. "
            f"At most {max_image_pixels:,} are accepted, and {MAX_SIDE_PIXELS:,} a side."
        )


def check_frames(frames: int) -> None:
    """Refuses an animation, or a document, that is none of an image any more."""
    if frames > MAX_FRAMES:
        raise ImageTooLarge(f"The image has more than {MAX_FRAMES:,} frames.")


def read_orientation(image: ImageFile) -> int:
    """Returns the EXIF orientation, 1 to 8. An image whose EXIF is damaged is still an image: upright."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1
    return orientation if 1 <= orientation <= 8 else 1
