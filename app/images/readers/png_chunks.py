"""Takes a PNG or APNG apart into chunks. Nothing is decompressed here.

A wrong checksum matters in the chunks that the pixels need. Other chunks with a wrong checksum are left out.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from app.errors import InvalidImage, UnsupportedMediaType
from app.images.readers.animation import RESTORE, Frame

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BIT_DEPTHS = {0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}}  # by colour type
NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
# Chunks that describe the image and must stand before its pixels.
DESCRIPTIONS = {b"PLTE", b"tRNS", b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM", b"acTL"}
TEXTS = {b"tEXt", b"zTXt", b"iTXt"}


class ImageHeader(NamedTuple):
    """The fields of IHDR."""

    width: int
    height: int
    bits: int
    colour_type: int
    compression: int
    filters: int
    interlaced: int


class Parts(NamedTuple):
    """A PNG in parts.

    Attributes:
        header: The fields of IHDR.
        chunks: The first chunk of each kind in `DESCRIPTIONS` and of eXIf.
        texts: The kind and body of each text chunk.
        pixels: The compressed pixels of the default image.
        frames: The frames of an APNG with their compressed pixels, see `sound_frames`.
        broken: The kinds of the chunks that were left out because of a wrong checksum.
        ended: Whether the end chunk is there.
    """

    header: ImageHeader
    chunks: dict[bytes, bytes]
    texts: list[tuple[bytes, bytes]]
    pixels: list[bytes]
    frames: list[tuple[Frame, list[bytes]]]
    broken: set[bytes]
    ended: bool


def take_apart(data: bytes) -> Parts:
    """Returns the parts of a PNG.

    Raises:
        InvalidImage: A chunk that the pixels need is damaged, or the header is missing.
        UnsupportedMediaType: The PNG has a chunk that a decoder has to know and that is not supported.
    """
    walk = walk_chunks(data)
    kind, body, _ = next(walk, (b"", b"", True))
    if kind == b"CgBI":
        raise UnsupportedMediaType("Apple's CgBI variant of PNG is not supported. Save it as an ordinary PNG.")
    if kind != b"IHDR":
        raise InvalidImage("The PNG is damaged: it does not begin with a header.")
    parts = Parts(read_image_header(body), {}, [], [], [], set(), ended=False)
    animated, sequence = True, 0
    for kind, body, intact in walk:
        if not intact:
            parts.broken.add(kind)
        elif kind == b"IEND":
            return parts._replace(ended=True)
        elif kind == b"IDAT":
            parts.pixels.append(body)
            if parts.frames:  # the default image is also the first frame
                parts.frames[0][1].append(body)
        elif kind in (b"fcTL", b"fdAT") and animated and b"acTL" in parts.chunks:
            animated = add_to_frames(parts, kind, body, sequence)
            sequence += 1
        elif kind in TEXTS:
            parts.texts.append((kind, body))
        elif kind == b"eXIf" or (kind in DESCRIPTIONS and not parts.pixels):
            parts.chunks.setdefault(kind, body)
        elif kind[:1].isupper() and kind not in NEEDED:
            raise UnsupportedMediaType(
                f"The PNG needs its chunk {kind.decode()}, which is not supported. Save it as an ordinary PNG."
            )
    return parts


def sound_frames(parts: Parts) -> list[tuple[Frame, list[bytes]]]:
    """Returns the frames of an APNG, up to the first one that has no pixels. A still PNG has none."""
    declared = int.from_bytes(parts.chunks.get(b"acTL", b"")[:4], "big")
    return list(takewhile(lambda frame: frame[1], parts.frames[:declared]))


def walk_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Yields the kind and the body of each chunk, and whether its checksum is right. The last body may be cut short.

    Raises:
        InvalidImage: A needed chunk has a wrong checksum, or there is no chunk where one should be.
    """
    position = len(SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if not kind.isalpha() or length > 0x7FFFFFFF:
            raise InvalidImage(f"The PNG is damaged: byte {position + 1:,} does not begin a chunk.")
        end = position + 8 + length
        intact = end + 4 > len(data) or data[end : end + 4] == checksum(memoryview(data)[position + 4 : end])
        if not intact and kind in NEEDED:
            raise InvalidImage(f"The PNG is damaged: its chunk {kind.decode()} has a wrong checksum.")
        yield kind, data[position + 8 : end], intact
        position = end + 4


def checksum(chunk: bytes | memoryview) -> bytes:
    """Returns the checksum of a chunk's kind and body."""
    return zlib.crc32(chunk).to_bytes(4, "big")


def read_image_header(body: bytes) -> ImageHeader:
    """Returns the fields of IHDR. Raises `InvalidImage` if they are wrong."""
    if len(body) < 13:
        raise InvalidImage("The PNG is truncated: its header is too short.")
    header = ImageHeader(*struct.unpack_from(">IIBBBBB", body))
    if header.bits not in BIT_DEPTHS.get(header.colour_type, ()):
        raise InvalidImage(
            f"The PNG is damaged: its header declares colour type {header.colour_type} with {header.bits} bits."
        )
    if not header.width or not header.height:
        raise InvalidImage(f"The PNG is damaged: its header declares {header.width} x {header.height} pixels.")
    if header.compression or header.filters or header.interlaced > 1:
        raise InvalidImage("The PNG is damaged: its header declares an unknown compression, filter or interlacing.")
    return header


def add_to_frames(parts: Parts, kind: bytes, body: bytes, sequence: int) -> bool:
    """Adds a chunk fcTL (frame control) or fdAT (frame data) to the frames.

    Returns:
        Whether the chunk is sound. If it is not, the frames before it are still complete.
    """
    if len(body) < (26 if kind == b"fcTL" else 4) or int.from_bytes(body[:4], "big") != sequence:
        return False
    if kind == b"fdAT":
        if parts.frames:
            parts.frames[-1][1].append(body[4:])
        return bool(parts.frames)
    width, height, left, top, _, _, disposal, blend = struct.unpack_from(">IIIIHHBB", body, 4)
    frame, size = Frame(left, top, width, height, disposal, over=blend == 1), parts.header[:2]
    inside = 0 < width <= size[0] - left and 0 < height <= size[1] - top
    sound = inside and disposal <= RESTORE and (bool(parts.pixels) or frame.covers(size))
    if sound:
        parts.frames.append((frame, []))
    return sound


def put_together(header: ImageHeader, palette: bytes, alphas: bytes, pixels: list[bytes]) -> bytes:
    """Returns a PNG with only the chunks that its pixels need."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", *header), b"PLTE": palette, b"tRNS": alphas, b"IDAT": b"".join(pixels)}
    file = [SIGNATURE]
    for kind, body in [*((kind, body) for kind, body in chunks.items() if body), (b"IEND", b"")]:
        file += [len(body).to_bytes(4, "big"), kind, body, checksum(kind + body)]
    return b"".join(file)
