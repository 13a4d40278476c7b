"""Writes TIFF files of any layout, byte by byte. The tests compare some of them with what tifffile reads."""

import lzma
import struct
import zlib
from typing import NamedTuple

import numpy as np

TYPES = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 7: "B", 8: "h", 9: "i", 11: "f", 12: "d", 16: "Q"}
REVERSED = bytes(int(f"{value:08b}"[::-1], 2) for value in range(256))


class Layout(NamedTuple):
    """How a file stores samples."""

    photometric: int | None = 1
    bits: int = 8
    sample_format: int = 1
    extra: tuple[int, ...] = ()
    planar: bool = False
    order: str = "<"
    big: bool = False
    tile: tuple[int, int] | None = None
    rows: int = 10  # per strip
    compression: int = 1
    predictor: int = 1
    fill_order: int = 1


def tiff_file(samples: np.ndarray, layout: Layout, more: dict[int, tuple[int, list]] | None = None) -> bytes:
    """Returns a file with these samples, [height, width, samples]. `more` are other tags: type and values."""
    height, width, count = samples.shape
    pieces = [
        encoded_piece(piece, layout)
        for plane in (np.moveaxis(samples, 2, 0)[..., None] if layout.planar else [samples])
        for piece in cut(plane, layout)
    ]
    start = 16
    offsets = [start + sum(map(len, pieces[:index])) for index in range(len(pieces))]
    lengths = list(map(len, pieces))
    tags: dict[int, tuple[int, list]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [layout.bits] * count),
        259: (3, [layout.compression]),
        266: (3, [layout.fill_order]),
        277: (3, [count]),
        284: (3, [2 if layout.planar else 1]),
        317: (3, [layout.predictor]),
        339: (3, [layout.sample_format] * count),
    }
    if layout.photometric is not None:
        tags[262] = (3, [layout.photometric])
    if layout.extra:
        tags[338] = (3, list(layout.extra))
    if layout.tile:
        tags |= {322: (4, [layout.tile[0]]), 323: (4, [layout.tile[1]]), 324: (4, offsets), 325: (4, lengths)}
    else:
        tags |= {273: (4, offsets), 278: (4, [layout.rows]), 279: (4, lengths)}
    return file_of_pages([tags | (more or {})], b"".join(pieces), layout.order, layout.big)


def file_of_pages(pages: list[dict[int, tuple[int, list]]], data: bytes, order: str = "<", big: bool = False) -> bytes:
    """Returns a file of pages with these tags. The data begin at byte 16."""
    integer, count_format = ("Q", "Q") if big else ("I", "H")
    inside = struct.calcsize(integer)
    data += bytes(len(data) % 2)
    bodies = b""
    first = position = 16 + len(data)
    for number, tags in enumerate(pages):
        entry_bytes = 4 + 2 * inside
        after = position + struct.calcsize(order + count_format) + entry_bytes * len(tags) + inside
        entries = outside = b""
        for tag, (kind, values) in sorted(tags.items()):
            value = struct.pack(f"{order}{len(values)}{TYPES[kind]}", *values)
            count = len(values) // 2 if kind == 5 else len(values)
            if len(value) > inside:
                at = after + len(outside)
                outside += value + bytes(len(value) % 2)
                value = struct.pack(order + integer, at)
            entries += struct.pack(order + "HH" + integer, tag, kind, count) + value.ljust(inside, b"\0")
        following = after + len(outside) if number + 1 < len(pages) else 0
        bodies += struct.pack(order + count_format, len(tags)) + entries + struct.pack(order + integer, following)
        bodies += outside
        position = following
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, first) if big else struct.pack(order + "HI", 42, first)
    return (mark + head).ljust(16, b"\0") + data + bodies


def cut(plane: np.ndarray, layout: Layout) -> list[np.ndarray]:
    """Returns the strips or the padded tiles of a plane."""
    height, width, _ = plane.shape
    if not layout.tile:
        return [plane[top : top + layout.rows] for top in range(0, height, layout.rows)]
    across, down = layout.tile
    padded = np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0)))
    return [
        padded[top : top + down, left : left + across]
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]


def encoded_piece(piece: np.ndarray, layout: Layout) -> bytes:
    """Returns a strip or tile after the predictor, the packing and the compression."""
    rows, width, count = piece.shape
    if layout.bits in (8, 16, 32, 64):
        kind = {1: "u", 2: "i", 3: "f"}[layout.sample_format]
        stored = piece.astype(f"{layout.order}{kind}{layout.bits // 8}")
        if layout.predictor == 2:
            integers = stored.view(f"{layout.order}u{layout.bits // 8}")
            stored = np.concatenate([integers[:, :1], np.diff(integers, axis=1)], axis=1).astype(integers.dtype)
        if layout.predictor == 3:
            size = layout.bits // 8
            split = stored.astype(f">f{size}").view(np.uint8).reshape(rows, width * count, size)
            joined = np.moveaxis(split, 2, 1).reshape(rows, -1, count)
            stored = np.concatenate([joined[:, :1], np.diff(joined, axis=1)], axis=1)
        data = np.ascontiguousarray(stored).tobytes()
    else:
        values = piece.reshape(rows, -1, 1).astype(np.uint64)
        bits = values >> np.arange(layout.bits - 1, -1, -1, dtype=np.uint64) & np.uint64(1)
        data = np.packbits(bits.astype(np.uint8).reshape(rows, -1), axis=1).tobytes()
    data = COMPRESSORS[layout.compression](data)
    return data.translate(REVERSED) if layout.fill_order == 2 else data


def pack_bits(data: bytes) -> bytes:
    """Returns PackBits data without runs."""
    parts = [data[at : at + 128] for at in range(0, len(data), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def lzw(data: bytes) -> bytes:
    """Returns LZW data that clears the table so often that all codes have 9 bits."""
    codes = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


COMPRESSORS = {
    1: bytes,
    5: lzw,
    8: zlib.compress,
    32773: pack_bits,
    32946: zlib.compress,
    34925: lzma.compress,
}
