"""Reads the header of an image file before a decoder does.

Decoders trust headers: they allocate the declared canvas, read all pages, decode all scans and unpack all texts. The
readers here make one bounded pass over the file. They reject a file that would cost seconds or gigabytes, and the
error names the reason. Nothing is decoded, and no imaging library is imported.
"""

import re
import struct
import zlib
from contextlib import suppress
from typing import NamedTuple

from app.errors import ImageTooLarge, InvalidImage, UnsupportedMediaType

MAX_SIDE_PIXELS = 32_768
MAX_FRAMES = 1_000
MAX_SCANS = 32  # per JPEG; encoders write at most 18. A scan of 100 bytes can take 0.07 s at 50 megapixels.
MAX_SEGMENTS = 1_000  # per JPEG; 20 MB fill 300. Pillow joins EXIF segments one by one, in quadratic time.
MAX_METADATA_BYTES = 16_000_000  # of a PNG's texts and profile, unpacked; Pillow uses four times that for some texts
MAX_RUN_LENGTH_PIXELS = 4_000_000  # per BMP with run-length encoding; Pillow decodes it in Python, 0.1 s per megapixel
MAX_TAGS = 4_096  # per TIFF page

# TIFF tags, and the compressions in common use: none, CCITT, LZW, JPEG, deflate, PackBits, Zstandard.
WIDTH, HEIGHT, COMPRESSION, STRIPS, SAMPLES, STRIP_ROWS, PLANES = 256, 257, 259, 273, 277, 278, 284
STRIP_BYTES, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 279, 322, 323, 324, 325
JPEG_COMPRESSION = 7
TIFF_COMPRESSIONS = {1, 2, 3, 4, 5, 7, 8, 32773, 32946, 50000}
TIFF_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}


class Header(NamedTuple):
    """The stored size in pixels, and the number of frames or pages, counted up to `MAX_FRAMES` + 1."""

    width: int
    height: int
    frames: int = 1


JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")  # a marker that starts a segment
JPEG_SCAN = re.compile(rb"\xff\xda\0[\x06\x08\x0a\x0c][\1-\4]")  # a scan of one to four components
JPEG_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}


def read_jpeg(data: bytes) -> Header:
    """Returns the header. Raises `InvalidImage` if the file has too many segments or scans."""
    width = height = scans = 0
    position = 2
    for segment in range(MAX_SEGMENTS + 1):
        marker = JPEG_MARKER.search(data, position)
        if not marker or marker[1] == b"\xd9":
            break
        position = marker.end()
        kind = data[position - 1]
        scans += kind == 0xDA
        if scans > MAX_SCANS or segment == MAX_SEGMENTS:
            raise InvalidImage(f"The JPEG has more than {MAX_SCANS} scans or {MAX_SEGMENTS:,} segments. Save it again.")
        if kind in JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 3)
        (length,) = struct.unpack_from(">H", data, position)
        position += length
    return Header(width, height)


def read_png(data: bytes) -> Header:
    """Returns the header. Raises `InvalidImage` if texts and profile unpack to too many bytes."""
    width, height = struct.unpack_from(">II", data, 16)
    frames, position, metadata_bytes = 1, 8, 0
    with suppress(struct.error):  # truncated; the decoder finds out whether the pixels are complete
        while True:
            length, kind = struct.unpack_from(">I4s", data, position)
            if kind == b"IEND":
                break
            if kind == b"acTL":
                (frames,) = struct.unpack_from(">I", data, position + 8)
            elif kind in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
                metadata_bytes += unpacked_bytes(kind, data[position + 8 : position + 8 + length])
                if metadata_bytes > MAX_METADATA_BYTES:
                    raise InvalidImage(
                        f"The PNG's texts and profile unpack to more than {MAX_METADATA_BYTES:,} bytes. "
                        "Save it without metadata."
                    )
            position += length + 12
    return Header(width, height, min(frames, MAX_FRAMES + 1))


def unpacked_bytes(kind: bytes, body: bytes) -> int:
    """Returns the unpacked size of a PNG's text or profile, counted up to `MAX_METADATA_BYTES` + 1."""
    # After the keyword: [flag,] method, [language, 0, translation, 0,] compressed data.
    _, _, rest = body.partition(b"\0")
    if kind in (b"zTXt", b"iCCP"):
        compressed = rest[1:]
    elif kind == b"iTXt" and rest[:1] == b"\1":
        compressed = rest[2:].split(b"\0", 2)[-1]
    else:
        return len(body)
    with suppress(zlib.error):  # damaged; Pillow raises an error or ignores it
        return len(zlib.decompressobj().decompress(compressed, MAX_METADATA_BYTES + 1))
    return len(body)


def read_webp(data: bytes) -> Header:
    """Returns the header. Opening the file with Pillow would already allocate the canvas twice."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise InvalidImage("The WEBP is damaged: it does not begin with an image.")
    frames, position = 0, 12
    while kind == b"VP8X" and position + 8 <= len(data) and frames <= MAX_FRAMES:
        name, length = struct.unpack_from("<4sI", data, position)
        frames += name == b"ANMF"
        position += 8 + length + length % 2
    return Header(width, height, max(frames, 1))


def read_gif(data: bytes) -> Header:
    """Returns the header. The size includes the first frame, because Pillow enlarges the canvas for it."""

    def palette_bytes(flags: int) -> int:
        return 3 << (flags & 7) + 1 if flags & 0x80 else 0

    width, height = struct.unpack_from("<HH", data, 6)
    frames = 0
    with suppress(IndexError):  # truncated; the decoder finds out whether the first frame is complete
        position = 13 + palette_bytes(data[10])
        while frames <= MAX_FRAMES:
            if data[position] == 0x2C:  # a frame: descriptor, palette, code size
                frames += 1
                if frames == 1:
                    left, top, frame_width, frame_height = struct.unpack_from("<4H", data, position + 1)
                    width, height = max(width, left + frame_width), max(height, top + frame_height)
                position += 11 + palette_bytes(data[position + 9])
            elif data[position] == 0x21:  # an extension
                position += 2
            else:  # the end
                break
            while data[position]:  # sub-blocks, each begins with its length
                position += data[position] + 1
            position += 1
    return Header(width, height, frames)


def read_bmp(data: bytes) -> Header:
    """Returns the header. Raises `ImageTooLarge` for a large image with run-length encoding, which takes seconds."""
    (header_bytes,) = struct.unpack_from("<I", data, 14)
    if header_bytes == 12:
        return Header(*struct.unpack_from("<HH", data, 18))
    width, height = map(abs, struct.unpack_from("<ii", data, 18))
    (compression,) = struct.unpack_from("<I", data, 30)
    if compression in (1, 2) and width * height > MAX_RUN_LENGTH_PIXELS:
        raise ImageTooLarge(
            f"A BMP with run-length encoding may have at most {MAX_RUN_LENGTH_PIXELS:,} pixels. Save it uncompressed."
        )
    return Header(width, height)


class TiffTag(NamedTuple):
    """A tag: its number of values, the first value, and the values' struct format and position in the file."""

    values: int
    value: int
    value_format: str
    position: int


def read_tiff(data: bytes) -> Header:
    """Returns the header. Raises an error if the strips or tiles need far more work than the image itself."""
    order, big = "<" if data[:1] == b"I" else ">", b"+" in data[2:4]
    integer, entry_format, entry_bytes = ("Q", "HHQ", 20) if big else ("I", "HHI", 12)
    integer_bytes = struct.calcsize(integer)
    first, *others = tiff_pages(data, order, big)
    tags: dict[int, TiffTag] = {}
    for entry in range(first.start, first.stop, entry_bytes):
        tag, kind, count = struct.unpack_from(order + entry_format, data, entry)
        if kind in TIFF_INTEGERS and count and tag not in tags:
            value_format, position = order + TIFF_INTEGERS[kind], entry + entry_bytes - integer_bytes
            if count * struct.calcsize(value_format) > integer_bytes:
                (position,) = struct.unpack_from(order + integer, data, position)
            (value,) = struct.unpack_from(value_format, data, position)
            tags[tag] = TiffTag(count, value, value_format, position)
    check_tiff_pieces(tags, data)
    return Header(tags[WIDTH].value, tags[HEIGHT].value, 1 + len(others))


def tiff_pages(data: bytes, order: str, big: bool) -> list[range]:
    """Returns the positions of each page's tags, for up to `MAX_FRAMES` + 1 pages."""
    count_format, integer, entry_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    pages: dict[int, range] = {}
    (page,) = struct.unpack_from(order + integer, data, 8 if big else 4)
    while page not in pages and len(pages) <= MAX_FRAMES and (0 < page < len(data) or not pages):
        (count,) = struct.unpack_from(order + count_format, data, page)
        if count > MAX_TAGS:
            raise InvalidImage(f"The TIFF has a page with more than {MAX_TAGS:,} tags. Save it again.")
        start = page + struct.calcsize(order + count_format)
        pages[page] = range(start, start + count * entry_bytes)
        with suppress(struct.error):  # truncated; the decoder finds out whether the first page is complete
            (page,) = struct.unpack_from(order + integer, data, pages[page].stop)
    return list(pages.values())


def check_tiff_pieces(tags: dict[int, TiffTag], data: bytes) -> None:
    """Checks the compression, and the number and size of the strips or tiles.

    Raises:
        UnsupportedMediaType: The compression is not in the list.
        InvalidImage: There are more or larger strips or tiles than the image needs, or too many JPEG scans.
    """

    def value(tag: int, default: int) -> int:
        return tags[tag].value if tag in tags else default

    if value(COMPRESSION, 1) not in TIFF_COMPRESSIONS:
        raise UnsupportedMediaType("The TIFF's compression is not accepted. Use none, LZW, deflate, JPEG or CCITT.")
    width, height = value(WIDTH, 0), value(HEIGHT, 0)
    planes = value(SAMPLES, 1) if value(PLANES, 1) == 2 else 1
    tile_width, tile_height = value(TILE_WIDTH, 0), value(TILE_HEIGHT, 0)
    if TILES in tags:
        offsets, lengths = tags[TILES], tags.get(TILE_BYTES)
        across, down = -(-width // tile_width), -(-height // tile_height)
        padded_pixels = across * tile_width * down * tile_height
    else:
        offsets, lengths = tags[STRIPS], tags.get(STRIP_BYTES)
        across, down = 1, -(-height // (value(STRIP_ROWS, height) or height))
        padded_pixels = width * height
    # A single piece can be as large as the image, so their number is limited. A tile may be larger than a small image:
    # up to 16 megapixels.
    if offsets.values > across * down * planes or padded_pixels > 4 * width * height + 2**24:
        raise InvalidImage("The TIFF has more or larger strips or tiles than its image needs. Save it again.")
    # Each piece is unpacked separately: 50,000 pieces that share one long stream would take hours.
    if lengths and lengths.values <= offsets.values:
        order, kind = lengths.value_format[0], lengths.value_format[1]
        piece_bytes = struct.unpack_from(f"{order}{lengths.values}{kind}", data, lengths.position)
        if sum(min(length, len(data)) for length in piece_bytes) > 2 * len(data):
            raise InvalidImage("The TIFF is damaged: its strips or tiles together are longer than the file.")
    if value(COMPRESSION, 1) == JPEG_COMPRESSION and len(JPEG_SCAN.findall(data)) > MAX_SCANS + 4 * offsets.values:
        raise InvalidImage(f"The TIFF's JPEG has more than {MAX_SCANS} scans. Save it again.")
