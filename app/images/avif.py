"""Reads the size of an AVIF image from its boxes and from the AV1 streams inside them. Nothing is decoded.

libavif trusts the boxes, and scales the decoded stream to the size that they declare: 849 bytes that declare 64 x 64
can decode to hundreds of megapixels, once for each item and frame. So the sizes in the streams are read too.

Source: ISO/IEC 14496-12 and 23008-12 (boxes), AV1 Bitstream Specification, 5.3 to 5.5 (OBUs).
"""

import struct
from collections.abc import Iterator

from app.errors import InvalidImage
from app.images.headers import MAX_FRAMES, Header

MAX_TABLE_BYTES = 65_536  # libavif compares each item with all others: 40,000 items take 2.6 s
MAX_HEADERS = 16  # sequence and frame headers per image, also of layers and hidden frames; encoders write two
MAX_OBUS = 1_000  # per image; encoders write three, or one per tile
SEQUENCE_HEADER, FRAME_HEADER, FRAME = 1, 3, 6  # types of OBU

# Boxes that contain boxes, with the number of bytes before the first one.
CONTAINERS = {
    b"meta": 4,
    b"iprp": 0,
    b"ipco": 0,
    b"moov": 0,
    b"trak": 0,
    b"mdia": 0,
    b"minf": 0,
    b"stbl": 0,
    b"iinf": 6,
}


def read_avif(data: bytes) -> Header:
    """Returns the header, with the largest size that any box or stream of the file declares."""
    file = memoryview(data)
    sizes, frames = [(0, 0)], 1
    av1_items: set[int] = set()
    streams: list[memoryview] = []
    extents: dict[int, list[tuple[int, int]]] = {}
    sample_bytes = len(data)
    for kind, body in boxes(file):
        if kind in (b"iinf", b"iloc", b"iref", b"ipma") and len(body) > MAX_TABLE_BYTES:
            raise InvalidImage("The AVIF contains too many items. Save it as one image.")
        match kind:
            case b"ispe":
                sizes.append(struct.unpack_from(">II", body, 4))
            case b"infe":
                wide = body[0] == 3
                if bytes(body[10 if wide else 8 : 14 if wide else 12]) == b"av01":
                    av1_items.add(struct.unpack_from(">I" if wide else ">H", body, 4)[0])
            case b"iloc":
                extents |= item_places(body)
            case b"stsz":
                size, count = struct.unpack_from(">II", body, 4)
                frames = max(frames, count)
                sample_bytes = size or struct.unpack_from(">I", body, 12)[0]
            case b"stco" | b"co64":
                (start,) = struct.unpack_from(">I" if kind == b"stco" else ">Q", body, 8)
                streams.append(file[start : start + sample_bytes])
    pieces = [[file[start:stop] for start, stop in extents[item]] for item in av1_items]
    if sum(len(piece) for item in pieces for piece in item) > 2 * len(file):
        raise InvalidImage("The AVIF uses the same bytes many times. Save it again.")
    coded = [*map(coded_size, streams), *(coded_size(b"".join(item)) for item in pieces)]
    declared_pixels = max(width * height for width, height in sizes)
    # An image may have an alpha channel, a gain map, padding, and a preview that is larger than a small image.
    if av1_items and sum(width * height for width, height in coded) > 8 * declared_pixels + 2**20:
        raise InvalidImage("The AVIF contains far more pixels than its header declares. Save it again.")
    width, height = max(sizes + coded, key=lambda size: size[0] * size[1])
    return Header(width, height, min(frames, MAX_FRAMES + 1))


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yields the name and the content of each box of a file, also of the boxes inside containers."""
    position = 0
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        head = 8
        if length == 1:
            length, head = struct.unpack_from(">Q", data, position + 8)[0], 16
        end = position + length if length >= head else len(data)
        body = data[position + head : end]
        yield name, body
        if name in CONTAINERS:
            wide_count = 2 if name == b"iinf" and body[0] > 0 else 0
            yield from boxes(body[CONTAINERS[name] + wide_count :])
        position = end


def item_places(iloc: memoryview) -> dict[int, list[tuple[int, int]]]:
    """Returns, by item, the start and stop of its pieces in the file. Items that are stored elsewhere are left out."""
    position = 4

    def integer(length: int) -> int:
        nonlocal position
        position += length
        if position > len(iloc):
            raise EOFError
        return int.from_bytes(iloc[position - length : position], "big")

    version, sizes = iloc[0], integer(2)
    offset_bytes, length_bytes, base_bytes, index_bytes = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15
    if not offset_bytes + length_bytes:
        # A piece would take no bytes here, so there could be any number of them.
        raise InvalidImage("The AVIF is damaged: its items have neither an offset nor a length.")
    extents = {}
    for _ in range(integer(4 if version == 2 else 2)):
        item = integer(4 if version == 2 else 2)
        elsewhere = integer(2) & 15 if version else 0  # 1: in the `idat` box; 2: made from other items
        integer(2)  # data reference: this file
        base, pieces = integer(base_bytes), []
        for _ in range(integer(2)):
            integer(index_bytes if version else 0)
            start = base + integer(offset_bytes)
            pieces.append((start, start + integer(length_bytes)))
        if not elsewhere:
            extents[item] = pieces
    return extents


def coded_size(stream: bytes | memoryview) -> tuple[int, int]:
    """Returns the largest width and height in an AV1 stream's sequence headers.

    Raises:
        InvalidImage: The stream has too many frames or OBUs for one image.
    """
    position = headers = width = height = 0
    for obu in range(MAX_OBUS + 1):
        if position >= len(stream):
            break
        head = stream[position]
        position += 2 if head & 4 else 1  # bit 2: the header has an extension byte
        length = 0
        if head & 2:  # LEB128: seven bits per byte, the lowest first
            for shift in range(0, 56, 7):
                byte = stream[position]
                position += 1
                length |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
        else:
            length = len(stream) - position
        kind = head >> 3 & 15
        if kind == SEQUENCE_HEADER:
            sides = sequence_size(stream[position : min(position + length, position + 400)])
            width, height = max(width, sides[0]), max(height, sides[1])
        headers += kind in (SEQUENCE_HEADER, FRAME_HEADER, FRAME)
        if headers > MAX_HEADERS or obu == MAX_OBUS:
            raise InvalidImage("The AVIF stores one image as too many frames. Save it again.")
        position += length
    return width, height


def sequence_size(header: bytes | memoryview) -> tuple[int, int]:
    """Returns the largest width and height that an AV1 sequence header allows for its frames."""
    bits = "".join(f"{byte:08b}" for byte in header)
    position = 0

    def read(count: int) -> int:
        nonlocal position
        position += count
        if position > len(bits):
            raise EOFError
        return int(bits[position - count : position] or "0", 2)

    read(4)  # profile, still image
    if read(1):  # reduced header, as in still images
        read(5)
    else:
        delay_bits = 0
        if read(1):  # timing
            read(64)
            if read(1):  # equal intervals: a variable-length code, n zeros, a one and n bits
                zeros = bits.index("1", position) - position
                read(2 * zeros + 1)
            if read(1):  # decoder model
                delay_bits = read(5) + 1
                read(42)
        delayed = read(1)
        for _ in range(read(5) + 1):  # operating points
            read(12)
            if read(5) > 7:
                read(1)
            if delay_bits and read(1):
                read(2 * delay_bits + 1)
            if delayed and read(1):
                read(4)
    width_bits, height_bits = read(4) + 1, read(4) + 1
    return read(width_bits) + 1, read(height_bits) + 1
