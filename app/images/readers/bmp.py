"""Reads BMP files of Windows and OS/2, uncompressed or with run lengths."""

import struct
from typing import NamedTuple

import numpy as np
from PIL import Image

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.raster import ColourSpace, Header, Raster, ReadOptions
from app.images.readers.bmp_samples import indices, masked_samples, run_lengths

RGB, RLE8, RLE4, MASKS, JPEG, PNG, ALPHA_MASKS = range(7)  # compressions of Windows; OS/2 has others for 3 and 4
DEFAULT_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 24: (0xFF0000, 0xFF00, 0xFF, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}
OS2_HEADERS = {12, *range(16, 40, 4), 44, 48, 60, 64}
WINDOWS_HEADERS = {40, 52, 56, 108, 124}
EMBEDDED, LINKED = b"DEBM", b"KNIL"  # values of a V5 header's colour space type


class BMPHeader(NamedTuple):
    """The fields of the headers.

    Attributes:
        length: Of the information header, in bytes.
        width, height: A negative height means that the top row is the first.
        bits: Per pixel.
        compression: As in Windows.
        colours: The number of colours in the palette, or 0 for as many as the bits allow.
        pixels: Where the pixels begin, or 0 if that is not declared.
    """

    length: int
    width: int
    height: int
    bits: int
    compression: int
    colours: int
    pixels: int


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header."""
    header = read_bmp_header(data)
    return Header(header.width, abs(header.height))


def read_bmp_header(data: bytes) -> BMPHeader:
    """Returns the fields of the headers.

    Raises:
        InvalidImage: The file is too short, or the size is not positive.
        UnsupportedMediaType: The header or the compression is of a kind that is not supported.
    """
    pixels, length = struct.unpack_from("<II", data, 10)
    if length not in OS2_HEADERS | WINDOWS_HEADERS:
        raise UnsupportedMediaType(f"A BMP with a header of {length} bytes is not supported. Save it as PNG.")
    fields = data[18 : 14 + length]
    if len(fields) < length - 4:
        raise InvalidImage("The BMP is truncated: the file ends before the image does.")
    if length == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", fields)
        compression = colours = 0
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", fields)
        compression, _, _, _, colours = struct.unpack_from("<IIiiI", fields.ljust(40, b"\0"), 12)
    if width <= 0 or height == 0:
        raise InvalidImage(f"The BMP is damaged: its header declares {width} x {abs(height)} pixels.")
    if length in OS2_HEADERS and compression in (3, 4):
        raise UnsupportedMediaType("OS/2's Huffman and 24-bit run lengths in a BMP are not supported. Save it as PNG.")
    if compression in (JPEG, PNG):
        name = "JPEG" if compression == JPEG else "PNG"
        raise UnsupportedMediaType(f"A BMP that contains a {name} is not supported. Send the {name} itself.")
    if bits == 64:
        raise UnsupportedMediaType("A BMP with 64 bits per pixel is not supported. Save it as PNG.")
    if compression > ALPHA_MASKS:
        raise UnsupportedMediaType(f"A BMP with compression {compression} is not supported. Save it as PNG.")
    return BMPHeader(length, width, height, bits, compression, colours, pixels)


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns the image.

    Raises:
        InvalidImage: The header contradicts itself, or pixels are missing.
        UnsupportedMediaType: The file is of a variant that is not supported.
    """
    header = read_bmp_header(data)
    bits = {RLE8: {8}, RLE4: {4}, MASKS: {16, 24, 32}, ALPHA_MASKS: {16, 32}}
    if header.bits not in bits.get(header.compression, {1, 2, 4, 8, 16, 24, 32}):
        raise InvalidImage(
            f"The BMP is damaged: its header declares {header.bits} bits per pixel "
            f"with compression {header.compression}."
        )
    palette, end = read_palette(data, header)
    start = header.pixels or end
    if start < 14 + header.length:
        raise InvalidImage("The BMP is damaged: its pixels begin inside its header.")
    width, height = header.width, abs(header.height)
    notes: tuple[str, ...] = ()
    if header.bits <= 8:
        if header.compression in (RLE8, RLE4):
            samples = run_lengths(data[start:], width, height, header.bits)
        else:
            samples = indices(rows_of(data, header, start), width, header.bits)
        image = Image.fromarray(upright(samples, header))
        image.putpalette(palette)
    elif header.bits == 24:
        if read_masks(data, header) != DEFAULT_MASKS[24]:
            raise UnsupportedMediaType("A BMP with bit masks for 24 bits per pixel is not supported. Save it as PNG.")
        rows = upright(rows_of(data, header, start), header)[:, : 3 * width]
        image = Image.frombytes("RGB", (width, height), np.ascontiguousarray(rows), "raw", "BGR")
    else:
        masks = read_masks(data, header)
        rows = rows_of(data, header, start)[:, : width * header.bits // 8]
        image = Image.fromarray(masked_samples(upright(rows.view(f"<u{header.bits // 8}"), header), masks))
        if max(mask.bit_count() for mask in masks) > 8:
            notes = ("reduced_from_16_bit",)
    space, profile_notes = colour_space(data, header)
    return Raster(image, width, height, notes + profile_notes, space)


def upright(samples: np.ndarray, header: BMPHeader) -> np.ndarray:
    """Returns the rows from top to bottom. The first row of most files is the lowest one."""
    return samples if header.height < 0 else samples[::-1]


def rows_of(data: bytes, header: BMPHeader, start: int) -> np.ndarray:
    """Returns the rows of an uncompressed image, [H, bytes] uint8. Each row is padded to 4 bytes.

    Raises:
        InvalidImage: The file is too short. Only the padding of the last row may be missing.
    """
    row_bytes = -(-header.width * header.bits // 8)
    stride, height = -(-row_bytes // 4) * 4, abs(header.height)
    if len(data) < start + stride * (height - 1) + row_bytes:
        raise InvalidImage("The BMP is truncated: the file ends before the image does.")
    if len(data) < start + stride * height:
        data = data.ljust(start + stride * height, b"\0")
    return np.frombuffer(data, np.uint8, stride * height, start).reshape(height, stride)


def read_palette(data: bytes, header: BMPHeader) -> tuple[bytes, int]:
    """Returns the palette in RGB, and where it ends. Colours that are missing in the file are black."""
    begin = 14 + header.length
    if header.length == 40:  # longer headers contain the masks
        begin += {MASKS: 12, ALPHA_MASKS: 16}.get(header.compression, 0)
    entry_bytes = 3 if header.length == 12 else 4
    colours = header.colours
    if header.bits <= 8:
        colours = colours or 1 << header.bits
    if header.pixels:
        colours = min(colours, max(header.pixels - begin, 0) // entry_bytes)
    colours = min(colours, max(len(data) - begin, 0) // entry_bytes)
    entries = np.frombuffer(data, np.uint8, min(colours, 256) * entry_bytes, begin)
    return entries.reshape(-1, entry_bytes)[:, 2::-1].tobytes().ljust(768, b"\0"), begin + colours * entry_bytes


def read_masks(data: bytes, header: BMPHeader) -> tuple[int, int, int, int]:
    """Returns the bits of a pixel that are red, green, blue and alpha.

    Raises:
        InvalidImage: The masks overlap, have gaps, or are larger than a pixel.
    """
    if header.compression == RGB:  # with 32 bits, the fourth byte is unused
        return DEFAULT_MASKS[header.bits]
    has_alpha = header.compression == ALPHA_MASKS or header.length >= 56
    masks = struct.unpack_from("<4I" if has_alpha else "<3I", data, 54)
    together = 0
    for mask in masks:
        ones = mask // (mask & -mask) if mask else 0
        if mask & together or mask >> header.bits or ones & (ones + 1):
            raise InvalidImage("The BMP is damaged: the bit masks of its colours overlap, have gaps or are too large.")
        together |= mask
    if not all(masks[:3]):
        raise InvalidImage("The BMP is damaged: a colour has no bits.")
    return (*masks, 0)[:4]


def colour_space(data: bytes, header: BMPHeader) -> tuple[ColourSpace, tuple[str, ...]]:
    """Returns the profile that a V5 header may have, and notes."""
    if header.length < 124 or data[70:74] not in (EMBEDDED, LINKED):
        return ColourSpace(), ()
    offset, length = struct.unpack_from("<II", data, 126)
    profile = data[14 + offset : 14 + offset + length]
    if data[70:74] == LINKED or not profile or len(profile) < length:
        return ColourSpace(), ("colour_profile_ignored",)
    return ColourSpace(icc=profile), ()
