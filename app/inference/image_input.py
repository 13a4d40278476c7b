"""A picture, from the bytes of its file to what the image tower takes: for the service and for the command line."""

import binascii
import hashlib
import time
from typing import NamedTuple

import numpy as np

from app import images
from app.errors import InvalidImage
from app.inference.encoder import Encoder
from app.schemas import ImageFacts
from app.settings import Settings

# A JPEG that may be reduced is decoded at the smallest scale that leaves so many times the tower's side:
# benchmarks/jpeg.py says what that saves, and how near the embedding stays.
OVERSAMPLING = 2


class PreparedImage(NamedTuple):
    """What the tower takes, [S, S, 3] uint8, and what the client is told."""

    pixels: np.ndarray
    facts: ImageFacts
    decode_s: float


class EmbeddedImage(NamedTuple):
    """An embedding, [E] float32, what the client is told, and how long each stage took."""

    row: np.ndarray
    facts: ImageFacts
    decode_s: float
    queue_s: float
    compute_s: float

    def kept(self) -> "EmbeddedImage":
        """Returns what a cache may keep: without its times, and copied, since a row would keep its whole batch."""
        return EmbeddedImage(self.row.copy(), self.facts, 0.0, 0.0, 0.0)


class ImageFileBytes(NamedTuple):
    """A file's bytes, and the digest that stands for them."""

    data: bytes
    digest: bytes


def read_file(data: bytes | str) -> ImageFileBytes:
    """Returns a file, given as its bytes or as their base64, which both have the same digest."""
    file = decode_base64(data) if isinstance(data, str) else data
    return ImageFileBytes(file, hashlib.sha256(file).digest())


def prepare_image(data: bytes | str, encoder: Encoder, settings: Settings) -> PreparedImage:
    """Returns a decoded and resized picture.

    For a thread, and in one piece: of all that wait, only as many are decoded as there are threads.
    """
    started_s = time.perf_counter()
    file = decode_base64(data) if isinstance(data, str) else data
    least_side = OVERSAMPLING * max(encoder.info.image_size) if settings.reduce_jpegs else None
    decoded = images.decode(file, settings.max_image_pixels, least_side=least_side)
    facts = ImageFacts(width=decoded.width, height=decoded.height, format=decoded.format, notes=decoded.notes)
    return PreparedImage(encoder.prepare_image(decoded.rgb), facts, time.perf_counter() - started_s)


def decode_base64(text: str) -> bytes:
    """Returns the bytes. URLs and paths are not followed: they are simply not base64."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        hint = " without its data: prefix" if text.startswith("data:") else "; URLs and paths are not followed"
        raise InvalidImage(f"image is not base64. Send the file's bytes as standard base64{hint}.") from None
