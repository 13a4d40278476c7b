"""Takes a JPEG apart into segments. Nothing is decoded here."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from app.errors import InvalidImage, UnsupportedMediaType

SOI, EOI, SOS, DNL, COM = 0xD8, 0xD9, 0xDA, 0xDC, 0xFE
JFIF, EXIF_OR_XMP, ICC, ADOBE = 0xE0, 0xE1, 0xE2, 0xEE  # application segments
APPLICATIONS = range(0xE0, 0xF0)

# The codings that libjpeg-turbo reads: Huffman (baseline, extended, progressive, lossless) and arithmetic.
SUPPORTED = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA}
PROGRESSIVE = {0xC2, 0xCA}
LOSSLESS = 0xC3
NOT_SUPPORTED = {
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE), "Hierarchical JPEG"),
    0xCB: "Lossless arithmetic JPEG",
    0xF7: "JPEG-LS",
}

HEADER_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])")
# Among compressed data, only what can follow a scan is taken for a marker. Anything else is damage there.
SCAN_MARKER = re.compile(rb"\xff([\xc4\xcc\xd8-\xdd\xe0-\xef\xfe])")

TRUNCATED = "The JPEG is truncated: the file ends before the image does."


class Segment(NamedTuple):
    """A segment: its marker, its content, and where it begins and ends."""

    kind: int
    body: bytes
    start: int
    end: int


class FrameHeader(NamedTuple):
    """The frame header: the coding, which is its marker, the size, and the identifiers of the components."""

    coding: int
    width: int
    height: int
    components: bytes


class Scan(NamedTuple):
    """A scan header: its components, its first and last frequency, and how many low bits it leaves out."""

    components: bytes
    first: int
    last: int
    missing_bits: int


class Parts(NamedTuple):
    """A JPEG in parts.

    Attributes:
        frame: The frame header.
        header: What the decoder needs of the segments before the pixels.
        scans: The scan headers.
        pixels: The scans, without the end marker.
        last_scan: Where the compressed data of the last scan begins in them.
        applications: The marker and content of each application segment before the pixels.
        ended: Whether the end marker is there.
    """

    frame: FrameHeader
    header: bytes
    scans: list[Scan]
    pixels: bytes
    last_scan: int
    applications: list[tuple[int, bytes]]
    ended: bool


def take_apart(data: bytes) -> Parts:
    """Returns the parts of the first image in a file.

    Raises:
        InvalidImage: The file ends before the pixels, or its header is damaged.
        UnsupportedMediaType: The coding is not supported.
    """
    frame = find_frame(data)
    header, applications = [b"\xff\xd8"], []
    scans: list[Scan] = []
    start = last_scan = end = len(data)
    ended = False
    for segment in walk_segments(data):
        if segment.kind in (SOI, EOI):
            end, ended = segment.start, segment.kind == EOI
            break
        if segment.kind == SOS:
            start, last_scan = start if scans else segment.start, segment.end
            scans.append(read_scan_header(segment.body))
        elif segment.kind in APPLICATIONS and not scans:
            applications.append((segment.kind, segment.body))
        if not scans and is_needed(segment):
            header.append(data[segment.start : segment.end])
    if not scans:
        raise InvalidImage("The JPEG is damaged: it has no pixels." if ended else TRUNCATED)
    return Parts(frame, b"".join(header), scans, data[start:end], last_scan - start, applications, ended)


def walk_segments(data: bytes) -> Iterator[Segment]:
    """Yields the segments up to the end of the first image, or up to the end of the file."""
    position, pattern = 2, HEADER_MARKER
    while marker := pattern.search(data, position):
        kind, start, position = marker[1][0], marker.start(), marker.end()
        if kind in (SOI, EOI):
            yield Segment(kind, b"", start, position)
            return
        length = int.from_bytes(data[position : position + 2], "big")
        end = position + max(length, 2)
        if end > len(data):
            return
        yield Segment(kind, data[position + 2 : end], start, end)
        position = end
        pattern = SCAN_MARKER if kind == SOS else pattern


def is_needed(segment: Segment) -> bool:
    """Returns whether the decoder needs a segment. Of the applications, two say how the colours are stored."""
    if segment.kind == JFIF:
        return segment.body.startswith(b"JFIF\0") and len(segment.body) >= 14
    if segment.kind == ADOBE:
        return segment.body.startswith(b"Adobe") and len(segment.body) >= 12
    return segment.kind not in APPLICATIONS and segment.kind != COM


def find_frame(data: bytes) -> FrameHeader:
    """Returns the frame header.

    Raises:
        InvalidImage: It is missing or damaged.
        UnsupportedMediaType: The coding is not supported.
    """
    for segment in walk_segments(data):
        if segment.kind in SUPPORTED or segment.kind in NOT_SUPPORTED:
            return read_frame_header(segment, data)
        if segment.kind in (SOI, EOI, SOS):
            raise InvalidImage("The JPEG is damaged: it has no frame header.")
    raise InvalidImage(TRUNCATED)


def read_frame_header(segment: Segment, data: bytes) -> FrameHeader:
    """Returns the fields of a frame header."""
    coding, body = segment.kind, segment.body
    if name := NOT_SUPPORTED.get(coding):
        raise UnsupportedMediaType(f"{name} is not supported. Save it as baseline or progressive JPEG.")
    if len(body) < 6 or len(body) < 6 + 3 * body[5]:
        raise InvalidImage("The JPEG is damaged: its frame header is too short.")
    bits, height, width, count = struct.unpack_from(">BHHB", body)
    if bits != 8:
        raise UnsupportedMediaType(f"{bits}-bit JPEG is not supported. Save it with 8 bits per sample.")
    if height == 0 and any(later.kind == DNL for later in walk_segments(data)):
        raise UnsupportedMediaType("A JPEG that declares its height after its pixels is not supported. Save it again.")
    if not width or not height:
        raise InvalidImage(f"The JPEG is damaged: its header declares {width} x {height} pixels.")
    if count not in (1, 3, 4):
        raise UnsupportedMediaType(f"A JPEG with {count} components is not supported. Save it as RGB or grey.")
    return FrameHeader(coding, width, height, body[6 : 6 + 3 * count : 3])


def read_scan_header(body: bytes) -> Scan:
    """Returns the fields of a scan header. Raises `InvalidImage` if it is too short."""
    count = body[0] if body else 0
    if len(body) < 4 + 2 * count:
        raise InvalidImage("The JPEG is damaged: a scan header is too short.")
    first, last, approximation = body[1 + 2 * count : 4 + 2 * count]
    return Scan(body[1 : 1 + 2 * count : 2], first, last, approximation & 15)
