"""Writes BMP files from samples."""

import struct

import numpy as np

from app.images.decode import DecodeOptions, decode

WIDTH, HEIGHT = 13, 7  # rows that are padded, whatever the bits
OPTIONS = DecodeOptions(1_000_000)
RGB, RLE8, RLE4, MASKS, JPEG, PNG, ALPHA_MASKS = range(7)
RNG = np.random.default_rng(0)


def bmp_of(
    rows: bytes,
    bits: int,
    *,
    header: int = 40,
    compression: int = RGB,
    masks: tuple[int, ...] = (),
    palette: np.ndarray | None = None,
    colours: int = 0,
    height: int = HEIGHT,
    offset: int | None = None,
    profile: tuple[bytes, bytes] | None = None,
) -> bytes:
    """Returns a BMP. `palette` is [entries, 3] in RGB; `profile` is the V5 header's colour space type and the data."""
    if header == 12:
        fields = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
        entries = b"" if palette is None else palette[:, ::-1].astype(np.uint8).tobytes()
    else:
        fields = struct.pack(
            "<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(rows), 2835, 2835, colours, 0
        )
        fields = fields[:header]
        entries = b"" if palette is None else np.pad(palette[:, ::-1].astype(np.uint8), ((0, 0), (0, 1))).tobytes()
    mask_bytes = struct.pack(f"<{len(masks)}I", *masks)
    start = 14 + max(header, len(fields + mask_bytes)) + len(entries)
    v5 = b""
    if profile:
        v5 = bytes(56 - 40 - len(mask_bytes)) + profile[0] + bytes(52)
        v5 += struct.pack("<III", start - 14 + len(rows), len(profile[1]), 0)
    head = (fields + mask_bytes + v5).ljust(header, b"\0") + entries
    pixels = start if offset is None else offset
    file = b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, pixels) + head + rows
    return file + (profile[1] if profile else b"")


def padded(rows: np.ndarray) -> bytes:
    """Returns the rows, [H, bytes] uint8, from bottom to top and padded to 4 bytes."""
    return np.pad(rows[::-1], ((0, 0), (0, -rows.shape[1] % 4))).tobytes()


def packed(indices: np.ndarray, bits: int) -> bytes:
    single = (indices[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return padded(np.packbits(single.reshape(len(indices), -1).astype(np.uint8), axis=1))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data, OPTIONS).rgb).astype(int)


def values_of(bits: int) -> np.ndarray:
    return RNG.integers(0, 1 << bits, (HEIGHT, WIDTH), dtype=np.uint64).astype(np.int64)


def masked_rows(values: np.ndarray, bits: int) -> bytes:
    return padded(values.astype(f"<u{bits // 8}").view(np.uint8).reshape(HEIGHT, -1))
