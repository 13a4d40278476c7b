"""Reads the header of a JPEG XL file: size, samples, channels and colours (ISO/IEC 18181-1, 18181-2).

The header of a codestream is a sequence of bits, the lowest bit of each byte first. Its fields are read up to those of
the colour space.
"""

from typing import NamedTuple

from app.errors import UnsupportedMediaType
from app.images.colours.made_profiles import D65, PRIMARIES, SRGB_CHROMATICITIES, Chromaticities
from app.images.readers.boxes import boxes

MAX_HEADER_BYTES = 20_000  # 16 channels with long names; encoders write 30 bytes
MAX_CHANNELS = 16  # in addition to the colours
RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
ALPHA, SPOT_COLOUR, BLACK, COLOUR_FILTER = 0, 2, 4, 5  # kinds of channels
GREY, XYB = 1, 2  # colour spaces
CUSTOM = 2  # white point or primaries that are given as coordinates
SRGB = 13  # transfer function, as in CICP
WHITE_POINTS = {1: D65, 10: (1 / 3, 1 / 3), 11: PRIMARIES[11][:2]}


class JpegXlHeader(NamedTuple):
    """The header of a JPEG XL file.

    Attributes:
        width, height: Before `orientation` is applied.
        orientation: 1 to 8, as in EXIF.
        animated: Whether the file may have several frames.
        bits: The number of bits per sample.
        floating: Whether the samples are floating-point numbers.
        extra_channels: How many channels there are in addition to grey or RGB, alpha included.
        alpha, premultiplied: Whether there is an alpha channel, and whether the colours are multiplied by it.
        grey: Whether the image has only grey.
        has_icc: Whether the colours are described by an ICC profile, which is compressed inside the codestream.
        chromaticities: x and y of white, red, green and blue.
        transfer: The code point of the transfer function, as in CICP.
        gamma: The exponent instead of a transfer function, such as 0.45455.
        holds_jpeg: Whether a JPEG file can be reconstructed.
    """

    width: int
    height: int
    orientation: int = 1
    animated: bool = False
    bits: int = 8
    floating: bool = False
    extra_channels: int = 0
    alpha: bool = False
    premultiplied: bool = False
    grey: bool = False
    has_icc: bool = False
    chromaticities: Chromaticities = SRGB_CHROMATICITIES
    transfer: int = SRGB
    gamma: float | None = None
    holds_jpeg: bool = False


class Bits:
    """Reads the fields of a codestream. Raises EOFError if it ends before they do."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def bits(self, count: int) -> int:
        """Returns an unsigned integer of so many bits."""
        if count > self.left:
            raise EOFError("The header of the JPEG XL is truncated.")
        found = self.value & ((1 << count) - 1)
        self.value >>= count
        self.left -= count
        return found

    def flag(self) -> bool:
        """Returns one bit."""
        return bool(self.bits(1))

    def choice(self, *choices: tuple[int, int]) -> int:
        """Returns an integer that two bits and one of four pairs (offset, number of bits) describe."""
        offset, count = choices[self.bits(2)]
        return offset + self.bits(count)

    def enum(self) -> int:
        """Returns a code point."""
        return self.choice((0, 0), (1, 0), (2, 4), (18, 6))


def read_jpeg_xl_header(data: bytes) -> JpegXlHeader:
    """Returns the header of a codestream, with or without boxes around it.

    Raises:
        UnsupportedMediaType: The file uses channels or colours that are not supported.
        EOFError: The file is truncated.
    """
    if data.startswith(b"\xff\x0a"):
        return read_codestream(data)
    start, holds_jpeg = None, False
    for box in boxes(memoryview(data)):
        holds_jpeg |= box.kind == b"jbrd"
        if start is None and box.kind in (b"jxlc", b"jxlp"):  # the whole codestream, or a numbered part
            start = bytes(box.body[0 if box.kind == b"jxlc" else 4 :][:MAX_HEADER_BYTES])
    if start is None:
        raise EOFError("The JPEG XL is truncated.")
    return read_codestream(start)._replace(holds_jpeg=holds_jpeg)


def read_codestream(data: bytes) -> JpegXlHeader:
    """Returns the header of a codestream."""
    if len(data) < 2:
        raise EOFError("The JPEG XL is truncated.")
    if not data.startswith(b"\xff\x0a"):
        raise ValueError("The signature of the codestream is missing.")
    stream = Bits(data[2:MAX_HEADER_BYTES])
    header = JpegXlHeader(*read_size(stream))
    if stream.flag():  # all defaults: 8 bits, sRGB
        return header
    if stream.flag():
        orientation = 1 + stream.bits(3)
        if stream.flag():
            read_size(stream)  # the size to show the image with
        if stream.flag():
            skip_preview(stream)
        animated = stream.flag()
        if animated:
            stream.choice((100, 0), (1000, 0), (1, 10), (1, 30))  # ticks per second
            stream.choice((1, 0), (1001, 0), (1, 8), (1, 10))
            stream.choice((0, 0), (0, 3), (0, 16), (0, 32))  # loops
            stream.flag()  # time codes
        header = header._replace(orientation=orientation, animated=animated)
    bits, floating = read_depth(stream)
    stream.flag()  # 16-bit buffers are enough
    header = header._replace(bits=bits, floating=floating)
    return read_colours(stream, read_channels(stream, header))


def read_size(stream: Bits) -> tuple[int, int]:
    """Returns width and height. Both are multiples of 8, or the width is a ratio of the height, or neither."""
    small = stream.flag()

    def side() -> int:
        return 8 * (1 + stream.bits(5)) if small else stream.choice((1, 9), (1, 13), (1, 18), (1, 30))

    height = side()
    ratio = stream.bits(3)
    if ratio == 0:
        return side(), height
    numerator, denominator = RATIOS[ratio - 1]
    return height * numerator // denominator, height


def skip_preview(stream: Bits) -> None:
    """Skips the size of the preview."""
    choices = ((16, 0), (32, 0), (1, 5), (33, 9)) if stream.flag() else ((1, 6), (65, 8), (321, 10), (1345, 12))
    stream.choice(*choices)
    if stream.bits(3) == 0:
        stream.choice(*choices)


def read_depth(stream: Bits) -> tuple[int, bool]:
    """Returns the number of bits per sample, and whether the samples are floating-point numbers."""
    if not stream.flag():
        return stream.choice((8, 0), (10, 0), (12, 0), (1, 6)), False
    bits = stream.choice((32, 0), (16, 0), (24, 0), (1, 6))
    stream.bits(4)  # exponent
    return bits, True


def read_channels(stream: Bits, header: JpegXlHeader) -> JpegXlHeader:
    """Returns the header with what the channels other than colours are."""
    count = stream.choice((0, 0), (1, 0), (2, 4), (1, 12))
    if count > MAX_CHANNELS:
        raise UnsupportedMediaType(
            f"JPEG XL with more than {MAX_CHANNELS} extra channels is not supported. Flatten it."
        )
    header = header._replace(extra_channels=count)
    for _ in range(count):
        kind, premultiplied = ALPHA, False
        if not stream.flag():  # otherwise plain 8-bit alpha
            kind = stream.enum()
            read_depth(stream)
            stream.choice((0, 0), (3, 0), (4, 0), (1, 3))  # subsampling
            stream.bits(8 * stream.choice((0, 0), (0, 4), (16, 5), (48, 10)))  # name
            if kind == ALPHA:
                premultiplied = stream.flag()
            elif kind == SPOT_COLOUR:
                stream.bits(64)
            elif kind == COLOUR_FILTER:
                stream.choice((1, 0), (0, 2), (3, 4), (19, 8))
            elif kind == BLACK:
                raise UnsupportedMediaType("CMYK JPEG XL is not supported. Save it as RGB.")
        if kind == ALPHA and not header.alpha:
            header = header._replace(alpha=True, premultiplied=premultiplied)
    return header


def read_colours(stream: Bits, header: JpegXlHeader) -> JpegXlHeader:
    """Returns the header with the description of the colours."""
    stream.flag()  # whether the codestream has XYB; the decoder converts it to the colour space that follows
    if stream.flag():  # sRGB
        return header
    has_icc, space = stream.flag(), stream.enum()
    header = header._replace(grey=space == GREY, has_icc=has_icc)
    if has_icc:
        return header
    if space == XYB:
        raise UnsupportedMediaType("JPEG XL in the colour space XYB is not supported. Save it as sRGB.")
    white = stream.enum()
    white_xy = read_coordinates(stream) if white == CUSTOM else WHITE_POINTS[white]
    primaries: Chromaticities = SRGB_CHROMATICITIES[2:]
    if space != GREY:
        code = stream.enum()
        primaries = sum((read_coordinates(stream) for _ in range(3)), ()) if code == CUSTOM else PRIMARIES[code][2:]
    header = header._replace(chromaticities=(*white_xy, *primaries))
    if stream.flag():
        return header._replace(gamma=stream.bits(24) / 10_000_000)
    return header._replace(transfer=stream.enum())


def read_coordinates(stream: Bits) -> tuple[float, float]:
    """Returns x and y of a colour."""
    x, y = (stream.choice((0, 19), (1 << 19, 19), (1 << 20, 20), (1 << 21, 21)) for _ in range(2))
    return signed(x) / 1_000_000, signed(y) / 1_000_000


def signed(code: int) -> int:
    """Returns the integer that a code stands for: 0, -1, 1, -2, 2, and so on."""
    return -(code + 1) // 2 if code & 1 else code // 2
