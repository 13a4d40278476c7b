"""Converts decoded pixels to upright 8-bit RGB on white, strip by strip.

A strip has about a megapixel: the conversions need masks and copies, and a copy of the whole image would double the
memory of a large one. The result looks as in an image viewer; `notes` says how the pixels were stored.
"""

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from app.errors import InvalidImage

STRIP_PIXELS = 1_000_000

# EXIF orientation -> the operation that turns the image upright.
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


def to_rgb(image: ImageFile, samples: str, orientation: int, notes: list[str]) -> Image.Image:
    """Returns a loaded image in RGB, upright and opaque. Most photos need no change and are returned as they are.

    Args:
        image: The image; its pixels are loaded.
        samples: How the file stores a pixel, such as "RGB;16B".
        orientation: 1 to 8, as in EXIF.
        notes: The code of each conversion is appended.
    """
    check_colours(image, samples, notes)
    if image.mode == "RGB" and orientation == 1 and not image.has_transparency_data:
        return image
    width, height = image.size
    rgb = Image.new("RGB", (height, width) if orientation > 4 else (width, height))
    rows = max(1, STRIP_PIXELS // width)
    composited = False
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = convert_strip(image.crop((0, top, width, bottom)), image, samples)
        if strip.mode == "RGBA":
            composited |= strip.getchannel("A").getextrema() != (255, 255)
            canvas = Image.new("RGB", strip.size, "white")
            canvas.paste(strip, mask=strip)
            strip = canvas
        if orientation in UPRIGHT:
            strip = strip.transpose(UPRIGHT[orientation])
        start = height - bottom if orientation in (3, 4, 6, 7) else top  # rows of the file become rows or columns
        rgb.paste(strip, (start, 0) if orientation > 4 else (0, start))
    if composited:
        notes.append("alpha_composited_on_white")
    if orientation > 1:
        notes.append("exif_orientation_applied")
    return rgb


def check_colours(image: ImageFile, samples: str, notes: list[str]) -> None:
    """Appends to the notes how the pixels are stored.

    Raises:
        InvalidImage: The pixels have no defined white.
    """
    if ";16" in samples or ";12" in samples:
        notes.append("reduced_from_16_bit")
        transparent = image.info.get("transparency")
        if isinstance(transparent, tuple):  # Pillow has reduced the pixels, but not the transparent colour
            image.info["transparency"] = tuple(value >> 8 for value in transparent)
    elif image.mode == "F":
        notes.append("reduced_from_float")
    elif image.mode == "I":
        raise InvalidImage(
            "The pixels are signed or 32-bit integers, which have no defined white. Save the image with 8 or 16 bits."
        )
    elif image.mode == "CMYK":
        notes.append("converted_from_cmyk")


def convert_strip(strip: Image.Image, image: ImageFile, samples: str) -> Image.Image:
    """Returns a strip of the image as RGB, or as RGBA if it has transparency."""
    if image.mode.startswith("I;16"):
        transparent = image.info.get("transparency")
        values = np.asarray(strip)
        strip = reduced_grey(values, 4 if ";12" in samples else 8, is_white_zero(image))
        if isinstance(transparent, int):
            strip.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    elif image.mode == "F":
        strip = scaled_float(np.asarray(strip), image)
    elif image.mode == "La":  # Pillow converts La only to LA
        strip = strip.convert("LA")
    return strip.convert("RGBA" if strip.has_transparency_data else "RGB")


def reduced_grey(values: np.ndarray, shift: int, white_zero: bool) -> Image.Image:
    """Returns the high 8 bits of 12- or 16-bit grey.

    Pillow does the same for 16-bit colours, but clips 16-bit grey at 255.
    """
    grey = (values >> shift).astype(np.uint8)
    return Image.fromarray(255 - grey if white_zero else grey)


def scaled_float(values: np.ndarray, image: ImageFile) -> Image.Image:
    """Returns floats as 8-bit grey. The file declares which values are black and white; the default is 0 and 1."""
    tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
    black, white = (float(np.ravel(tags.get(tag, default))[0]) for tag, default in ((MIN_SAMPLE, 0), (MAX_SAMPLE, 1)))
    if not (white > black and values.min() >= black and values.max() <= white):  # also refuses NaN
        raise InvalidImage(
            f"The float pixels are not all between {black:g} and {white:g}. "
            "Scale them to 0..1, or declare their range in the tags SMinSampleValue and SMaxSampleValue."
        )
    grey = np.rint((values - black) * (255 / (white - black))).astype(np.uint8)
    return Image.fromarray(255 - grey if is_white_zero(image) else grey)


def is_white_zero(image: ImageFile) -> bool:
    """Returns whether 0 is white. Pillow takes this into account only for 8-bit images."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0
