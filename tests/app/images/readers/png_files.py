"""Writes PNG files from samples, and computes what a viewer shows of them."""

import struct
import zlib

import numpy as np

from app.images.decode import DecodeOptions, decode
from tests.app.images.hostile import png_chunk

SIZE = (13, 11)  # no multiple of 8, so that rows and passes end inside a byte
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
LAYOUTS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
LAYOUTS += [(4, 8), (4, 16), (6, 8), (6, 16)]
OPTIONS = DecodeOptions(1_000_000)


def samples_of(colour_type: int, bits: int, size: tuple[int, int] = SIZE, seed: int = 0) -> np.ndarray:
    """Returns random samples, [H, W, channels], of which many are alike."""
    levels = np.random.default_rng(seed).integers(0, 1 << bits, 4)
    levels[0] = (1 << bits) - 1
    chosen = np.random.default_rng(seed + 1).integers(0, 4, (size[1], size[0], CHANNELS[colour_type]))
    chosen[size[1] // 2, :] = 1  # so that one colour is frequent
    return levels[chosen]


def packed(samples: np.ndarray, bits: int) -> bytes:
    """Returns rows of samples, each with the filter byte 0."""
    height = len(samples)
    values = samples.reshape(height, -1)
    single = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1  # [H, W * channels, bits]
    rows = np.packbits(single.reshape(height, -1).astype(np.uint8), axis=1)
    return np.hstack([np.zeros((height, 1), np.uint8), rows]).tobytes()


def interlaced(samples: np.ndarray, bits: int) -> bytes:
    """Returns the passes of Adam7."""
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    passes = [samples[top::down, left::across] for top, left, down, across in starts]
    return b"".join(packed(part, bits) for part in passes if part.size)


def file_of(samples: np.ndarray, colour_type: int, bits: int, extra: bytes = b"", adam7: bool = False) -> bytes:
    height, width, _ = samples.shape
    rows = interlaced(samples, bits) if adam7 else packed(samples, bits)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, adam7)
    chunks = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def palette_of(bits: int) -> np.ndarray:
    """Returns an RGB palette, [entries, 3]."""
    return np.random.default_rng(7).integers(0, 256, (1 << bits, 3)).astype(np.uint8)


def eight_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    return samples >> 8 if bits == 16 else samples * (255 // ((1 << bits) - 1))


def on_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.rint((rgb * alpha + 255.0 * (255 - alpha)) / 255)


def shown(samples: np.ndarray, colour_type: int, bits: int, transparent: tuple[int, ...] = ()) -> np.ndarray:
    """Returns what a viewer shows, [H, W, 3].

    Args:
        samples: The file's samples.
        colour_type: As in IHDR.
        bits: Per sample.
        transparent: The values of tRNS: a grey, a colour, or an alpha per palette entry.
    """
    alpha: np.ndarray | int = 255
    if colour_type == 3:
        alphas = np.array([*transparent, *[255] * (256 - len(transparent))])
        return on_white(palette_of(bits)[samples[..., 0]], alphas[samples])
    values = eight_bits(samples, bits)
    if colour_type in (4, 6):
        values, alpha = values[..., :-1], values[..., -1:]
    elif transparent:
        alpha = np.where((samples == transparent).all(axis=2, keepdims=True), 0, 255)
    return on_white(np.broadcast_to(values, (*values.shape[:2], 3)), np.asarray(alpha))


def pixels(data: bytes, frame: int = 0) -> np.ndarray:
    return np.asarray(decode(data, DecodeOptions(1_000_000, frame=frame)).rgb).astype(int)
