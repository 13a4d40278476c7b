"""Reads WebP files. Pillow decodes the pixels, from a copy of the file without metadata and later frames."""

import struct
from io import BytesIO
from typing import NamedTuple

from PIL.WebPImagePlugin import WebPImageFile

from app.errors import InvalidImage
from app.images.raster import MAX_FRAMES, ColourSpace, Header, Raster, ReadOptions
from app.images.readers.exif import read_orientation

IMAGES = {b"VP8 ", b"VP8L"}
PIXELS = {*IMAGES, b"ALPH", b"ANIM"}
METADATA = {b"ICCP", b"EXIF", b"XMP "}
HAS_ALPHA, IS_ANIMATED = 0x10, 0x02  # flags of VP8X; the others announce metadata
TRUNCATED = "The WEBP is truncated: the file ends before the image does."


class Parts(NamedTuple):
    """A WebP in parts.

    Attributes:
        width, height: Of the canvas.
        chunks: The chunks that the pixels need, except the frames.
        frames: The frames of an animation, up to `MAX_FRAMES` + 1.
        metadata: The first chunk of each kind in `METADATA`.
        cut: Whether the file is shorter than it declares.
    """

    width: int
    height: int
    chunks: list[tuple[bytes, bytes]]
    frames: list[tuple[bytes, bytes]]
    metadata: dict[bytes, bytes]
    cut: bool


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header. Opening the file with Pillow would already allocate the canvas twice."""
    parts = take_apart(data)
    return Header(parts.width, parts.height, max(len(parts.frames), 1))


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns a frame, composed with the frames before it. Frames after it may be missing or damaged.

    Raises:
        InvalidImage: The file is damaged, or ends before the frame does.
    """
    parts = take_apart(data)
    if parts.cut and len(parts.frames) <= options.frame and not any(kind in IMAGES for kind, _ in parts.chunks):
        raise InvalidImage(TRUNCATED)
    chunks = parts.chunks + parts.frames[: options.frame + 1]
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in chunks
    )
    image = WebPImageFile(BytesIO(b"RIFF" + struct.pack("<I", len(body)) + body))
    image.seek(options.frame)
    image.load()
    orientation = read_orientation([parts.metadata.get(b"EXIF", b"")], parts.metadata.get(b"XMP ", b""))
    return Raster(
        image,
        *image.size,
        colour_space=ColourSpace(icc=parts.metadata.get(b"ICCP") or None),
        orientation=orientation,
    )


def take_apart(data: bytes) -> Parts:
    """Returns the parts of a WebP, as far as they are complete.

    Raises:
        InvalidImage: The file does not begin with an image, or ends before it.
    """
    kind, length = data[12:16], int.from_bytes(data[16:20], "little")
    first = data[20 : 20 + min(length, 10)]
    if len(data) < min(20 + length, 30):
        raise InvalidImage(TRUNCATED)
    if kind == b"VP8X" and len(first) == 10:
        width, height = (int.from_bytes(first[at : at + 3], "little") + 1 for at in (4, 7))
    elif kind == b"VP8L" and first[:1] == b"\x2f" and len(first) >= 5:
        bits = int.from_bytes(first[1:5], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and first[3:6] == b"\x9d\x01\x2a" and len(first) == 10:
        width, height = (side & 0x3FFF for side in struct.unpack("<HH", first[6:]))
    else:
        raise InvalidImage("The WEBP is damaged: it does not begin with an image.")
    parts = Parts(width, height, [], [], {}, len(data) < 8 + int.from_bytes(data[4:8], "little"))
    position = 12
    while position + 8 <= len(data) and len(parts.frames) <= MAX_FRAMES:
        name, length = struct.unpack_from("<4sI", data, position)
        content = data[position + 8 : position + 8 + length]
        if name == b"VP8X" and not parts.chunks:
            flags = bytes([content[0] & (HAS_ALPHA | IS_ANIMATED)])
            parts.chunks.append((name, flags + content[1:10]))
        elif name in METADATA:
            parts.metadata.setdefault(name, content)
        elif name in PIXELS and len(content) == length:
            parts.chunks.append((name, content))
        elif name == b"ANMF" and len(content) == length:
            parts.frames.append((name, content))
        position += 8 + length + length % 2
        if kind != b"VP8X":  # nothing of the image follows
            break
    return parts
