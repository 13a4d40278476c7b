"""Writes JPEG files for tests."""

import struct

import numpy as np

from app.images.decode import DecodeOptions, decode

OPTIONS = DecodeOptions(1_000_000)


def ramps(width: int = 64, height: int = 48) -> np.ndarray:
    """Returns a smooth image whose corners differ, [H, W, 3] uint8."""
    y, x = np.mgrid[:height, :width]
    return (
        np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 2], axis=-1).clip(0, 255).astype(np.uint8)
    )


def noise(width: int = 64, height: int = 48) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def pixels(data: bytes, **options: int) -> np.ndarray:
    return np.asarray(decode(data, DecodeOptions(1_000_000, **options)).rgb).astype(int)


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(data: bytes, *segments: bytes) -> bytes:
    return data[:2] + b"".join(segments) + data[2:]


def scan_data(data: bytes) -> int:
    """Returns where the compressed data of the last scan begins."""
    start = data.rindex(b"\xff\xda")
    return start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
