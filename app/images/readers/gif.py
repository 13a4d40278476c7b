"""Reads GIF files. Pillow decodes the pixels of single frames, from a file that has nothing else."""

import struct
from io import BytesIO
from typing import NamedTuple

from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from app.errors import InvalidImage
from app.images.raster import MAX_FRAMES, Header, Raster, ReadOptions
from app.images.readers.animation import CLEAR, KEEP, RESTORE, Frame, compose

IMAGE, EXTENSION, TRAILER = b",", b"!", b";"
GRAPHIC_CONTROL = 0xF9
HAS_PALETTE, INTERLACED, IS_TRANSPARENT = 0x80, 0x40, 0x01
DISPOSALS = {2: CLEAR, 3: RESTORE, 4: RESTORE}  # some encoders write 4 for 3


class GIFFrame(NamedTuple):
    """A frame, and what is needed to decode it.

    Attributes:
        place: Where and how it is drawn.
        flags: Of the image descriptor.
        palette: Its own palette or that of the file, in RGB.
        transparent: The index of the transparent colour, or None.
        pixels: The code size and the compressed pixels. They may be cut short by the end of the file.
    """

    place: Frame
    flags: int
    palette: bytes
    transparent: int | None
    pixels: bytes


class Parts(NamedTuple):
    """A GIF in parts: the size of its canvas, up to `MAX_FRAMES` + 1 frames, and whether an end follows them."""

    size: tuple[int, int]
    frames: list[GIFFrame]
    ended: bool


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header. The size includes the first frame, which enlarges the canvas as in browsers."""
    parts = take_apart(data)
    return Header(*parts.size, max(len(parts.frames), 1))


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns a frame, composed with the frames before it.

    Raises:
        InvalidImage: The frame is missing, or its pixels or those of a frame before it are missing or damaged.
    """
    parts = take_apart(data)
    frames = parts.frames[: options.frame + 1]
    if not frames:
        raise InvalidImage(f"The GIF is {'damaged' if parts.ended else 'truncated'}: it has no pixels.")
    try:
        if options.frame == 0 and frames[0].place.covers(parts.size):
            image = decoded(frames[0])
        else:
            image = compose(parts.size, ((frame.place, decoded(frame)) for frame in frames))
    except OSError as error:
        if parts.ended and "truncated" in str(error):
            raise InvalidImage("The GIF is damaged: a frame has too few pixels.") from error
        raise
    return Raster(image, *parts.size, () if parts.ended else ("end_marker_missing",))


def take_apart(data: bytes) -> Parts:
    """Returns the parts of a GIF, as far as they are there. Nothing is decompressed."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    palette = read_palette(data, 13, flags)
    position = 13 + len(palette)
    frames: list[GIFFrame] = []
    block, disposal, transparent = TRAILER, KEEP, None
    while len(frames) <= MAX_FRAMES:
        block = data[position : position + 1]
        if block == EXTENSION:
            label, control = data[position + 1 : position + 2], data[position + 2 : position + 8]
            if label == bytes([GRAPHIC_CONTROL]) and len(control) == 6 and control[0] >= 4:
                disposal = DISPOSALS.get(control[1] >> 2 & 7, KEEP)
                transparent = control[4] if control[1] & IS_TRANSPARENT else None
            _, position = read_blocks(data, position + 2)
        elif block == IMAGE and position + 11 <= len(data):
            left, top, frame_width, frame_height, flags = struct.unpack_from("<4HB", data, position + 1)
            own_palette = read_palette(data, position + 10, flags)
            start = position + 10 + len(own_palette)
            if start + 1 >= len(data):
                break
            pixels, position = read_blocks(data, start + 1)
            place = Frame(left, top, frame_width, frame_height, disposal)
            frames.append(GIFFrame(place, flags, own_palette or palette, transparent, data[start : start + 1] + pixels))
            disposal, transparent = KEEP, None
            if len(frames) == 1:
                width, height = max(width, left + frame_width), max(height, top + frame_height)
        else:
            break
    return Parts((width, height), frames, ended=block not in (b"", IMAGE, EXTENSION))


def read_palette(data: bytes, position: int, flags: int) -> bytes:
    """Returns the palette that begins at a position, in RGB. It is empty if the flags say that there is none."""
    return data[position : position + (3 << (flags & 7) + 1)] if flags & HAS_PALETTE else b""


def read_blocks(data: bytes, position: int) -> tuple[bytes, int]:
    """Returns a list of blocks, and where it ends. A block begins with its length, and an empty one is the last.

    If the file ends inside a block, that block gets the length of what is there.
    """
    start = block = position
    while position < len(data) and data[position]:
        block, position = position, position + data[position] + 1
    if position <= len(data) or position == start:
        return data[start : position + 1], position + 1
    return data[start:block] + bytes([len(data) - block - 1]) + data[block + 1 :], position


def decoded(frame: GIFFrame) -> Image.Image:
    """Returns the pixels of a frame in mode P, or in L if they are grey, with one transparent colour or none.

    Raises:
        InvalidImage: The frame has no size.
    """
    width, height = frame.place.width, frame.place.height
    if not width or not height:
        raise InvalidImage(f"The GIF is damaged: a frame has {width} x {height} pixels.")
    palette_flags = HAS_PALETTE | (len(frame.palette) // 3).bit_length() - 2 if frame.palette else 0
    image = GifImageFile(
        BytesIO(
            b"GIF89a"
            + struct.pack("<HHBxx", width, height, palette_flags)
            + frame.palette
            + IMAGE
            + struct.pack("<4xHHB", width, height, frame.flags & INTERLACED)
            + frame.pixels
            + TRAILER
        )
    )
    image.load()
    if frame.transparent is not None:
        image.info["transparency"] = frame.transparent
    return image
