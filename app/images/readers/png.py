"""Reads PNG and APNG files. Pillow decodes the pixels, from a copy of the file that has nothing else."""

import zlib
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from app.errors import InvalidImage
from app.images.raster import MAX_FRAMES, Header, Raster, ReadOptions
from app.images.readers.animation import compose
from app.images.readers.png_chunks import ImageHeader, Parts, put_together, sound_frames, take_apart
from app.images.readers.png_metadata import colour_space, orientation

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6  # IHDR's colour types
# The first pixel of each pass of an interlaced PNG, and the distances of its pixels: left, top, across, down.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
STRIP_PIXELS = 1_000_000
PIECE_BYTES = 16_384


def read_header(data: bytes, _frame: int = 0) -> Header:
    """Returns the header. The default image of an APNG is a frame only if the file says so."""
    parts = take_apart(data)
    frames = len(sound_frames(parts))
    return Header(parts.header.width, parts.header.height, min(max(frames, 1), MAX_FRAMES + 1))


def read(data: bytes, options: ReadOptions) -> Raster:
    """Returns a frame, composed with the frames before it.

    Raises:
        InvalidImage: Pixels are missing or damaged.
        UnsupportedMediaType: The PNG is of a variant that is not supported.
    """
    parts = take_apart(data)
    try:
        image = read_frame(parts, options.frame)
    except OSError as error:
        if parts.ended and "truncated" in str(error):
            raise InvalidImage("The PNG is damaged: it has too few pixels.") from error
        raise
    space, notes = colour_space(parts)
    notes += ("reduced_from_16_bit",) if parts.header.bits == 16 else ()
    notes += () if parts.ended else ("end_marker_missing",)
    return Raster(image, *image.size, notes, space, orientation(parts))


def read_frame(parts: Parts, number: int) -> Image.Image:
    """Returns a frame as `read_pixels` does, or in mode RGBA or LA if it is composed of several."""
    size = parts.header[:2]
    frames = sound_frames(parts)[: number + 1]
    if not frames:
        return read_pixels(parts, size, parts.pixels)
    if number == 0 and frames[0][0].covers(size):
        return read_pixels(parts, size, frames[0][1])
    image = compose(
        size, ((frame, read_pixels(parts, (frame.width, frame.height), pixels)) for frame, pixels in frames)
    )
    # A profile for grey needs a grey image.
    return grey_with_alpha(image) if parts.header.colour_type in (GREY, GREY_ALPHA) else image


def read_pixels(parts: Parts, size: tuple[int, int], pixels: list[bytes]) -> Image.Image:
    """Returns the image or a frame with 8 bits per sample, in mode L, LA, RGB, RGBA or P."""
    header = parts.header._replace(width=size[0], height=size[1])
    if not any(pixels):
        raise InvalidImage(f"The PNG is {'damaged' if parts.ended else 'truncated'}: it has no pixels.")
    if header.colour_type == PALETTE:
        palette = parts.chunks.get(b"PLTE", b"")
        if not 3 <= len(palette) <= 768 or len(palette) % 3:
            raise InvalidImage(f"The PNG is damaged: its palette has {len(palette)} bytes.")
        alphas = parts.chunks.get(b"tRNS", b"")[: len(palette) // 3]
        return decoded(header, put_together(header, palette, alphas, pixels))
    transparent = parts.chunks.get(b"tRNS", b"")
    file = put_together(header, b"", b"", pixels)
    image = decoded(header, file)
    if header.colour_type == GREY and len(transparent) >= 2:
        return with_transparent_grey(image, header, int.from_bytes(transparent[:2], "big"))
    if header.colour_type == COLOUR and len(transparent) >= 6:
        return with_transparent_colour(image, header, file, transparent[:6])
    if header.colour_type == GREY_ALPHA:
        return image if image.mode == "LA" else grey_with_alpha(image)
    if header.bits == 16 and header.colour_type == GREY:
        return high_bytes(image)
    return image.convert("L") if image.mode == "1" else image


def decoded(header: ImageHeader, file: bytes, samples: str = "") -> Image.Image:
    """Returns the decoded image in Pillow's mode, which may be 1 or I;16 as well.

    Args:
        header: The header of the file.
        file: A PNG with only the chunks that its pixels need.
        samples: Pillow's name of how to read the samples, or none for its choice.

    Raises:
        InvalidImage: There are too few rows of pixels.
    """
    image = PngImageFile(BytesIO(file))
    if samples:
        image.tile = [image.tile[0]._replace(args=samples)]
    image.load()
    # If the compressed data ends behind a row, Pillow leaves the other rows black.
    last_row = image.crop((0, header.height - 1, header.width, header.height))
    if (header.interlaced or not last_row.getbbox()) and has_too_few_rows(header, file):
        raise InvalidImage("The PNG is damaged: it has too few pixels.")
    return image


def has_too_few_rows(header: ImageHeader, file: bytes) -> bool:
    """Returns whether the pixels of a file unpack to fewer bytes than its header needs."""
    start = file.index(b"IDAT") + 4
    end = start + int.from_bytes(file[start - 8 : start - 4], "big")
    inflate, missing = zlib.decompressobj(), needed_bytes(header)
    for position in range(start, end, PIECE_BYTES):
        missing -= len(inflate.decompress(file[position : min(position + PIECE_BYTES, end)]))
        if missing <= 0:
            return False
    return True


def needed_bytes(header: ImageHeader) -> int:
    """Returns how many bytes the unpacked pixels have. Each row begins with a byte for its filter."""
    bits = header.bits * {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}[header.colour_type]
    total = 0
    for left, top, across, down in ADAM7 if header.interlaced else [(0, 0, 1, 1)]:
        width, height = -(-(header.width - left) // across), -(-(header.height - top) // down)
        if width > 0:
            total += max(height, 0) * (1 + -(-width * bits // 8))
    return total


def grey_with_alpha(image: Image.Image) -> Image.Image:
    """Returns an RGBA image of which all pixels are grey in mode LA."""
    return Image.merge("LA", (image.getchannel("R"), image.getchannel("A")))


def high_bytes(image: Image.Image) -> Image.Image:
    """Returns the high 8 bits of 16-bit grey, as Pillow does for colours. Its own conversion clips at 255."""
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def with_transparent_grey(image: Image.Image, header: ImageHeader, grey: int) -> Image.Image:
    """Returns a grey image in which one level, given in the file's bits, is transparent."""
    if header.bits == 16:
        alpha = Image.fromarray(np.where(np.asarray(image) == grey, 0, 255).astype(np.uint8))
        return Image.merge("LA", (high_bytes(image), alpha))
    largest = (1 << header.bits) - 1
    image = image.convert("L") if image.mode == "1" else image
    image.info["transparency"] = (grey & largest) * (255 // largest)
    return image


def with_transparent_colour(image: Image.Image, header: ImageHeader, file: bytes, colour: bytes) -> Image.Image:
    """Returns an RGB image in which one colour, three 16-bit numbers, is transparent."""
    if header.bits == 8:
        image.info["transparency"] = tuple(colour[1::2])
        return image
    low = decoded(header, file, samples="RGB;16L")
    alpha = Image.new("L", image.size, 255)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        same = np.ones((box[3] - top, image.width), bool)
        for half, number in ((image, 0), (low, 1)):
            same &= (np.asarray(half.crop(box)) == np.frombuffer(colour[number::2], np.uint8)).all(axis=2)
        alpha.paste(Image.fromarray(np.where(same, 0, 255).astype(np.uint8)), box)
    image.putalpha(alpha)
    return image
