"""Writes the headers of JPEG XL files, by the fields of ISO/IEC 18181-1: each field is a value and a number of bits."""

from tests.app.images.readers.heif_files import box

Field = tuple[int, int]

SIGNATURE = b"\xff\x0a"
CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl ", bytes(4), b"jxl ")
SRGB = [(1, 1)]
EIGHT_BITS = [(0, 1), (0, 2)]
SIXTEEN_BITS = [(0, 1), (3, 2), (15, 6)]
FLOATS = [(1, 1), (0, 2), (7, 4)]
ALPHA = [(1, 2), (1, 1)]  # one channel, which is plain alpha
PREMULTIPLIED = [(1, 2), (0, 1), *[(0, 2), (0, 1), (0, 2)], (0, 2), (0, 2), (1, 1)]  # one alpha channel, all its fields
ANIMATED = [(0, 2), (0, 2), (0, 2), (0, 1)]  # 100 ticks per second, no end, no time codes
D65, XY = 1, 2  # white points; `XY` is given as coordinates


def packed(*fields: Field) -> bytes:
    """Returns fields as bytes, the lowest bit first."""
    value = length = 0
    for field, bits in fields:
        assert field < 1 << bits or (field, bits) == (0, 0)
        value |= field << length
        length += bits
    return value.to_bytes((length + 7) // 8, "little")


def enum(value: int) -> list[Field]:
    """Returns a code point."""
    return [(value, 2)] if value < 2 else [(2, 2), (value - 2, 4)]


def side(length: int) -> list[Field]:
    """Returns the length of a side."""
    selector, bits = next((number, bits) for number, bits in enumerate((9, 13, 18, 30)) if length <= 1 << bits)
    return [(selector, 2), (length - 1, bits)]


def size(width: int, height: int) -> list[Field]:
    """Returns a size whose sides are stored separately."""
    return [(0, 1), *side(height), (0, 3), *side(width)]


def coordinate(millionths: int) -> list[Field]:
    """Returns a coordinate of a colour."""
    code = 2 * millionths if millionths >= 0 else -2 * millionths - 1
    bits = ((0, 19), (1 << 19, 19), (1 << 20, 20), (1 << 21, 21))
    selector, offset, count = next((n, low, count) for n, (low, count) in enumerate(bits) if code - low < 1 << count)
    return [(selector, 2), (code - offset, count)]


def colours(
    *, space: int = 0, white: int = D65, primaries: int = 1, transfer: int = 13, gamma: int = 0, xy: tuple = ()
) -> list[Field]:
    """Returns a description of colours. `xy` are the coordinates of red, green and blue in millionths."""
    fields = [(0, 1), (0, 1), *enum(space), *enum(white)]
    if space != 1:
        fields += enum(primaries)
    for value in xy:
        fields += coordinate(value)
    return [*fields, *([(1, 1), (gamma, 24)] if gamma else [(0, 1), *enum(transfer)]), *enum(1)]


def header(
    sides: list[Field],
    colours: list[Field] = SRGB,
    *,
    orientation: int = 0,
    animation: list[Field] = (),
    preview: list[Field] = (),
    depth: list[Field] = EIGHT_BITS,
    channels: list[Field] = ((0, 2),),
    xyb: bool = False,
) -> bytes:
    """Returns the header of a codestream."""
    fields = [*sides, (0, 1)]
    more = bool(orientation or animation or preview)
    fields.append((more, 1))
    if more:
        fields += [(max(orientation, 1) - 1, 3), (0, 1), (bool(preview), 1), *preview, (bool(animation), 1), *animation]
    fields += [*depth, (depth not in (SIXTEEN_BITS, FLOATS), 1), *channels, (xyb, 1), *colours]
    if more:
        fields.append((1, 1))  # default tone mapping
    return SIGNATURE + packed(*fields, (0, 2), (1, 1))  # no extensions, default transforms
