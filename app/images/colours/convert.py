"""Converts a raster to upright, opaque 8-bit sRGB on white, strip by strip.

A strip has about a megapixel: the conversions need masks and copies, and a copy of the whole image would double the
memory of a large one. The result looks as in an image viewer.
"""

from PIL import Image

from app.images.colours.profiles import Conversion, colour_conversion
from app.images.raster import Raster

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


def to_srgb(raster: Raster, *, convert_profiles: bool) -> tuple[Image.Image, list[str]]:
    """Returns the upright, opaque image in sRGB, and the codes of what was done to the pixels, in this order.

    Most photos need no change and are returned as they are.

    Args:
        raster: The decoded image.
        convert_profiles: Whether to convert colours as the file describes them. Otherwise the samples are kept, except
            that CMYK and Lab always have to be converted.
    """
    image, notes = raster.image, list(raster.notes)
    conversion = colour_conversion(image.mode, raster.colour_space, enabled=convert_profiles)
    notes += conversion.notes
    orientation = raster.orientation
    if image.mode == "RGB" and orientation == 1 and not conversion.convert and not image.has_transparency_data:
        return image, notes
    width, height = image.size
    rgb = Image.new("RGB", (height, width) if orientation > 4 else (width, height))
    rows = max(1, STRIP_PIXELS // width)
    composited = False
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = convert_strip(image.crop((0, top, width, bottom)), conversion)
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
    return rgb, notes


def convert_strip(strip: Image.Image, conversion: Conversion) -> Image.Image:
    """Returns a strip in RGB, or in RGBA if it has transparency, with its colours converted."""
    if strip.mode in ("La", "RGBa"):  # premultiplied alpha
        strip = strip.convert(strip.mode[:-1] + "A")
    if strip.mode == "P":
        strip = strip.convert("RGBA" if strip.has_transparency_data else "RGB")
    if strip.has_transparency_data and strip.mode in ("1", "L", "RGB"):  # one transparent grey or colour
        strip = strip.convert("LA" if strip.mode in ("1", "L") else "RGBA")
    if not conversion.convert:
        return strip.convert("RGBA" if strip.mode in ("LA", "RGBA") else "RGB")
    if strip.mode not in ("LA", "RGBA"):
        return conversion.convert(strip)
    alpha = strip.getchannel("A")
    converted = conversion.convert(strip.convert(strip.mode[:-1]))
    converted.putalpha(alpha)
    return converted
