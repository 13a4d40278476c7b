"""One image, from the bytes of its file to what the image tower takes. For the service and the command line."""

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

# A JPEG that may be reduced is decoded at the smallest scale whose sides are at least this many times the tower's:
# benchmarks/jpeg.py measures what that saves, and how close the embeddings stay.
OVERSAMPLING = 2


class PreparedImage(NamedTuple):
    """The tower's input, [S, S, 3] uint8, and the facts for the response."""

    pixels: np.ndarray
    facts: ImageFacts
    decode_s: float


class EmbeddedImage(NamedTuple):
    """An embedding, [E] float32, the facts for the response, and the time of each stage."""

    row: np.ndarray
    facts: ImageFacts
    decode_s: float
    queue_s: float
    compute_s: float

    def kept(self) -> "EmbeddedImage":
        """Returns what a cache keeps: no times, and a copy, since the row is a view of its whole batch."""
        return EmbeddedImage(self.row.copy(), self.facts, 0.0, 0.0, 0.0)


def file_bytes(data: bytes | str) -> bytes:
    """Returns a file's bytes, which may be given as base64.

    Raises:
        InvalidImage: It is text that is not base64. URLs and paths are not followed.
    """
    if isinstance(data, bytes):
        return data
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError:
        hint = " without its data: prefix" if data.startswith("data:") else "; URLs and paths are not followed"
        raise InvalidImage(f"image is not base64. Send the file's bytes as standard base64{hint}.") from None


def with_digest(data: bytes | str) -> tuple[bytes, bytes]:
    """Returns a file's bytes and their SHA-256; the file may be given as base64."""
    content = file_bytes(data)
    return content, hashlib.sha256(content).digest()


def prepare_image(data: bytes | str, encoder: Encoder, settings: Settings) -> PreparedImage:
    """Returns a decoded and resized image. Call it in a thread.

    Raises:
        InvalidImage, ImageTooLarge, UnsupportedMediaType: It cannot be decoded.
    """
    started_s = time.perf_counter()
    least_side = OVERSAMPLING * max(encoder.info.image_size) if settings.reduce_jpegs else None
    decoded = images.decode(file_bytes(data), settings.max_image_pixels, least_side=least_side)
    facts = ImageFacts(width=decoded.width, height=decoded.height, format=decoded.format, notes=decoded.notes)
    return PreparedImage(encoder.prepare_image(decoded.rgb), facts, time.perf_counter() - started_s)
