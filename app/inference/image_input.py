"""Image files as requests contain them, and the worker processes that prepare them for the image tower."""

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from app.errors import InvalidImage
from app.images.prepare import Preparation, Preprocessor
from app.images.worker_process import Limits
from app.images.workers import Workers
from app.schemas import ImageFacts
from app.settings import Settings
from app.validation import parse_base64
from model.engines.machine import available_cpus, memory_limit_bytes


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
        return parse_base64(data)
    except ValueError as error:
        hint = " without its data: prefix" if data.startswith("data:") else "; URLs and paths are not followed"
        raise InvalidImage(f"image {error}. Send the file's bytes as standard base64{hint}.") from None


def with_digest(data: bytes | str) -> tuple[bytes, bytes]:
    """Returns a file's bytes and their SHA-256; the file may be given as base64."""
    content = file_bytes(data)
    return content, hashlib.sha256(content).digest()


def decode_workers(settings: Settings) -> int:
    """Returns the number of worker processes: what is set, or one per CPU, limited to half of the memory."""
    if settings.decode_workers:
        return settings.decode_workers
    memory_bytes = memory_limit_bytes()
    fit = available_cpus() if memory_bytes is None else memory_bytes // 2 // settings.decode_memory_bytes
    return max(1, min(available_cpus(), fit))


def make_workers(
    preprocessor: Preprocessor, settings: Settings, on_exit: Callable[[str], None] = lambda reason: None
) -> Workers:
    """Returns the worker processes, not yet started; see `Workers`."""
    preparation = Preparation(
        preprocessor, settings.max_image_pixels, settings.color_profiles == "convert", settings.reduce_jpegs
    )
    limits = Limits(settings.decode_memory_bytes)
    return Workers(preparation, processes=decode_workers(settings), limits=limits, on_exit=on_exit)
