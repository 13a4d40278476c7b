"""Converts the errors of readers and decoders to ours."""

import math
import re
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from app.errors import ImageTooExpensive, ImageTooLarge, InvalidImage, ServiceError

# The most that a decoder needs (benchmarks/decode_memory.py). Some call an image damaged if they get less.
BYTES_PER_PIXEL = 16.5


@contextmanager
def decoder_errors(format_name: str, pixels: int = 0) -> Iterator[None]:
    """Converts errors of the readers and of the decoders into ours. Pillow's plugins raise almost any exception.

    Args:
        format_name: The format, for messages.
        pixels: How many pixels are decoded.
    """
    try:
        yield
    except ServiceError:
        raise
    except Image.DecompressionBombError:
        raise ImageTooLarge(f"The {format_name} declares far too many pixels.") from None
    except Exception as error:
        if isinstance(error, MemoryError) or re.search("memory|alloc", str(error), re.IGNORECASE):
            raise ImageTooExpensive(f"The {format_name} needs more memory than is allowed for one image.") from error
        if isinstance(error, EOFError) or re.search("truncated|unpack_from requires", str(error), re.IGNORECASE):
            raise InvalidImage(f"The {format_name} is truncated: the file ends before the image does.") from error
        if pixels * BYTES_PER_PIXEL > memory_left_bytes():
            raise ImageTooExpensive(
                f"The {format_name} cannot be decoded: it may need more memory than is allowed for one image. "
                "Send a smaller image."
            ) from error
        raise InvalidImage(f"The {format_name} is damaged and cannot be decoded.") from error


def memory_left_bytes() -> float:
    """Returns how much address space this process may still use."""
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit_bytes == resource.RLIM_INFINITY or sys.platform != "linux":
        return math.inf
    return limit_bytes - address_space_bytes()


def address_space_bytes() -> int:
    """Returns the address space that this process uses. Linux only."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()
