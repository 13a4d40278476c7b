"""Reads JPEG XL files with imagecodecs (libjxl), an optional package.

libjxl returns upright samples in the colour space that the header describes. As the standard says, the orientation in
EXIF is ignored.
"""

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.colours.made_profiles import PRIMARIES, matrix_profile
from app.images.colours.transfer_curves import CURVES, HDR, SRGB, light_of_codes, srgb_codes
from app.images.raster import CICP, ColourSpace, Header, Raster, ReadOptions
from app.images.readers import jpeg
from app.images.readers.jpeg_xl_header import JpegXlHeader, read_jpeg_xl_header

LINEAR = 8  # transfer function
STRIP_SAMPLES = 4_000_000
CICP_PRIMARIES = {chromaticities: code for code, chromaticities in PRIMARIES.items() if code in (1, 9, 11, 12)}


def is_installed() -> bool:
    """Returns whether imagecodecs is there."""
    return find_spec("imagecodecs") is not None


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header. An animation is decoded for this: the number of its frames is not stored.

    Raises:
        UnsupportedMediaType: imagecodecs is missing, or the file uses channels or colours that are not supported.
        EOFError: The file is truncated.
    """
    if not is_installed():
        raise UnsupportedMediaType("JPEG XL needs the optional package imagecodecs on the server. Send JPEG or PNG.")
    header = read_jpeg_xl_header(data)
    return Header(header.width, header.height, len(decode(data, header)) if header.animated else 1)


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns a frame, upright.

    Raises:
        UnsupportedMediaType: The file uses channels or colours that are not supported.
        EOFError: The file is truncated.
    """
    header = read_jpeg_xl_header(data)
    if header.has_icc and header.holds_jpeg:  # imagecodecs does not return the profile, but the JPEG has it too
        import imagecodecs

        return jpeg.read(bytes(imagecodecs.jpegxl_decode_jpeg(data, numthreads=1)), options)
    is_deep = header.floating or header.bits > 8
    if is_deep and header.premultiplied and header.transfer == LINEAR:
        raise UnsupportedMediaType("JPEG XL with premultiplied linear colours is not supported. Save it as PNG.")
    # Linear light needs more than 8 bits, so that it gets the curve of sRGB before it is reduced.
    encode = is_deep and header.transfer == LINEAR and header.gamma is None
    colour_space = describe_colours(header._replace(transfer=SRGB) if encode else header)
    samples = reduced(decode(data, header)[options.frame], header, encode=encode)
    mode = ("L" if header.grey else "RGB") + ("" if not header.alpha else "a" if header.premultiplied else "A")
    height, width = samples.shape[:2]
    image = Image.frombytes(mode, (width, height), samples.tobytes())
    notes = ["reduced_from_float" if header.floating else "reduced_from_16_bit"] if is_deep else []
    if header.orientation > 1:
        notes.append("exif_orientation_applied")
    return Raster(image, width, height, tuple(notes), colour_space)


def decode(data: bytes, header: JpegXlHeader) -> NDArray[Any]:
    """Returns the samples of all frames, [frames, height, width, channels].

    imagecodecs can also decode one frame, but if there is no such frame, it returns uninitialized memory.

    Raises:
        EOFError: The file is truncated.
        InvalidImage: The file is truncated or damaged.
    """
    import imagecodecs

    try:
        samples = imagecodecs.jpegxl_decode(data, numthreads=1)
    except RuntimeError as error:
        if "NEED_MORE_INPUT" in str(error):
            raise EOFError("The JPEG XL is truncated.") from error
        if "frame count" in str(error):
            raise InvalidImage("The JPEG XL is truncated or damaged: it has no complete frame.") from error
        raise
    height, width = (header.width, header.height) if header.orientation > 4 else (header.height, header.width)
    if header.grey and header.extra_channels and not header.alpha:  # the other channels follow as planes
        return samples.reshape(-1, 1 + header.extra_channels, height, width, 1)[:, 0]
    return samples.reshape(-1, height, width, (1 if header.grey else 3) + header.alpha)


def reduced(samples: NDArray[Any], header: JpegXlHeader, *, encode: bool) -> NDArray[np.uint8]:
    """Returns samples with 8 bits, strip by strip.

    Args:
        samples: [height, width, channels].
        header: The header, which says how many bits they have.
        encode: Whether the colours are linear light and get the curve of sRGB.
    """
    if samples.dtype == np.uint8 and header.bits == 8:
        return samples
    found = np.empty(samples.shape, np.uint8)
    white = 1.0 if samples.dtype.kind == "f" else 2.0**header.bits - 1
    rows = max(1, STRIP_SAMPLES // samples[0].size)
    for top in range(0, len(samples), rows):
        strip = samples[top : top + rows]
        if strip.dtype == np.uint16 and not encode:
            found[top : top + rows] = strip >> (header.bits - 8)
            continue
        codes = np.nan_to_num(strip.astype(np.float64) / white).clip(0, 1)
        if encode:
            colours = codes[..., : 1 if header.grey else 3]
            colours[:] = srgb_codes(colours)
        found[top : top + rows] = np.rint(255 * codes)
    return found


def describe_colours(header: JpegXlHeader) -> ColourSpace:
    """Returns the colour space of the samples.

    Raises:
        UnsupportedMediaType: Nothing here can convert it.
    """
    if header.has_icc:
        raise UnsupportedMediaType("JPEG XL with an ICC profile is not supported. Save it as sRGB, or as PNG.")
    if header.gamma is not None:
        return ColourSpace(gamma=header.gamma, chromaticities=header.chromaticities)
    primaries = CICP_PRIMARIES.get(header.chromaticities)
    if primaries:
        return ColourSpace(cicp=CICP(primaries, header.transfer))
    if header.transfer in HDR or header.transfer not in CURVES:
        raise UnsupportedMediaType("JPEG XL in HDR with unusual primaries is not supported. Save it as sRGB.")
    return ColourSpace(icc=matrix_profile(header.chromaticities, light_of_codes(CURVES[header.transfer])))
