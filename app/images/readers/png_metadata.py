"""Reads the colour space and the orientation of a PNG. Damaged metadata is left out: it never costs the image."""

import struct
import zlib
from contextlib import suppress

from app.images.raster import CICP, ColourSpace
from app.images.readers.exif import read_orientation
from app.images.readers.png_chunks import Parts

MAX_PROFILE_BYTES = 8_000_000
MAX_TEXT_BYTES = 1_000_000  # EXIF begins with the orientation; XMP has a few kilobytes

# ImageMagick stores EXIF as hexadecimal text under these keywords.
RAW_PROFILES = (b"Raw profile type exif", b"Raw profile type APP1")
XMP = b"XML:com.adobe.xmp"


def colour_space(parts: Parts) -> tuple[ColourSpace, tuple[str, ...]]:
    """Returns the colour space and notes. The order of precedence is cICP, iCCP, sRGB, then gAMA and cHRM.

    Source: PNG (Third Edition), section 4.3.
    """
    chunks = parts.chunks
    notes: tuple[str, ...] = ()
    if len(cicp := chunks.get(b"cICP", b"")) == 4:
        primaries, transfer, matrix, full_range = cicp
        return ColourSpace(cicp=CICP(primaries, transfer, matrix, bool(full_range))), ()
    if b"iCCP" in chunks or b"iCCP" in parts.broken:
        _, _, profile = chunks.get(b"iCCP", b"").partition(b"\0")  # after the name: 0, the compressed profile
        if icc := decompressed(profile[1:], MAX_PROFILE_BYTES, whole=True):
            return ColourSpace(icc=icc), ()
        notes = ("colour_profile_ignored",)
    if b"sRGB" in chunks:
        return ColourSpace(), notes
    gamma = chromaticities = None
    if len(chunks.get(b"gAMA", b"")) == 4:
        gamma = int.from_bytes(chunks[b"gAMA"], "big") / 100_000 or None
    if len(chunks.get(b"cHRM", b"")) == 32:
        chromaticities = tuple(value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"]))
    return ColourSpace(gamma=gamma, chromaticities=chromaticities), notes


def orientation(parts: Parts) -> int:
    """Returns the EXIF orientation, 1 to 8, from eXIf or from texts that contain EXIF or XMP."""
    exifs, xmp = [parts.chunks.get(b"eXIf", b"")], b""
    for kind, body in parts.texts:
        keyword, _, rest = body.partition(b"\0")
        if keyword in RAW_PROFILES and kind != b"iTXt":
            text = rest if kind == b"tEXt" else decompressed(rest[1:], MAX_TEXT_BYTES)
            exifs.append(raw_profile(text))
        elif keyword == XMP and kind == b"iTXt":
            packed, *_ = rest[:1] or b"\0"
            text = rest[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
            xmp = decompressed(text, MAX_TEXT_BYTES) if packed else text[:MAX_TEXT_BYTES]
    return read_orientation(exifs, xmp)


def raw_profile(text: bytes) -> bytes:
    """Returns what a text of ImageMagick encodes: a name, a length, and hexadecimal digits in lines."""
    with suppress(ValueError):
        digits = b"".join(text[: 2 * MAX_TEXT_BYTES].split()[2:])
        return bytes.fromhex(digits[: len(digits) // 2 * 2].decode("ascii"))
    return b""


def decompressed(data: bytes, max_bytes: int, *, whole: bool = False) -> bytes:
    """Returns up to `max_bytes` decompressed bytes.

    Args:
        data: A zlib stream. If it is damaged, no bytes are returned.
        max_bytes: How many bytes to decompress.
        whole: Whether to return no bytes if there are more of them, or if the stream is cut short.
    """
    inflate = zlib.decompressobj()
    with suppress(zlib.error):
        unpacked = inflate.decompress(data, max_bytes)
        return unpacked if inflate.eof or not whole else b""
    return b""
