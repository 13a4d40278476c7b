"""Finds out whether all pixels of a JPEG are there if its end marker is not.

The decoder invents what is missing, and does not say so. It is asked several times, with other bytes after the end.
"""

import hashlib
import re
from io import BytesIO

from PIL.JpegImagePlugin import JpegImageFile

from app.errors import InvalidImage
from app.images.readers.jpeg_segments import PROGRESSIVE, TRUNCATED, Parts

END = b"\xff\xd9"
FREQUENCIES = 64
STRIP_PIXELS = 1_000_000

# What may stand between the last pixel and the end marker without an effect, if no pixel is missing. Each begins with
# other bits.
MIN_TAILS, MAX_TAILS, MAX_TAIL_PIXELS = 4, 24, 50_000_000
TAILS = [bytes((first * 89 + number * 73) % 255 for number in range(64)) for first in range(MAX_TAILS)]


def complete_pixels(parts: Parts) -> bytes:
    """Returns the pixels of a file whose end marker is missing or overwritten with zeros.

    The last bytes of the pixels can be zeros, with or without the two zeros of an end marker behind them. An encoder
    fills unused bits with ones, so a last byte of zeros is needed up to its last bit. If the file ends with it, it is
    enough that it is needed: the file was not filled up with zeros.

    Raises:
        InvalidImage: Pixels are missing.
    """
    if has_all_scans(parts):
        pixels = parts.pixels.rstrip(b"\xff")  # the first half of an end marker
        stripped = pixels[: parts.last_scan] + pixels[parts.last_scan :].rstrip(b"\0")
        if stripped.endswith(b"\xff"):  # a zero follows each 255 in the data
            stripped += b"\0"
        zeros = len(pixels) - len(stripped)
        for count in sorted({0, zeros - 2, zeros} - {-2, -1}):
            candidate = stripped + bytes(count)
            shorter = candidate[:-1] if count == zeros else candidate[:-1] + b"\1"
            if is_complete(parts, candidate) and (count == 0 or not is_complete(parts, shorter)):
                return candidate
    raise InvalidImage(TRUNCATED)


def has_all_scans(parts: Parts) -> bool:
    """Returns whether the scans, of which the last may be cut short, contain each bit of each component."""
    if parts.frame.coding not in PROGRESSIVE:
        return set(parts.frame.components) <= {component for scan in parts.scans for component in scan.components}
    missing_bits: dict[tuple[int, int], int] = {}
    for scan in parts.scans:
        for component in scan.components:
            for frequency in range(scan.first, min(scan.last, FREQUENCIES - 1) + 1):
                missing_bits[component, frequency] = scan.missing_bits
    complete = len(missing_bits) == FREQUENCIES * len(parts.frame.components)
    return complete and not any(missing_bits.values())


def is_complete(parts: Parts, pixels: bytes) -> bool:
    """Returns whether the image is the same whatever follows its pixels. If it is not, pixels are missing."""
    restarts = re.findall(rb"\xff([\xd0-\xd7])", pixels[parts.last_scan :])
    restart = bytes([0xFF, 0xD0 + (restarts[-1][0] - 0xCF) % 8]) if restarts else b"\xff\xd0"
    count = max(MIN_TAILS, min(MAX_TAILS, MAX_TAIL_PIXELS // (parts.frame.width * parts.frame.height)))
    first = fingerprint(parts.header + pixels + END)
    return all(
        fingerprint(parts.header + pixels + before + tail + END) == first
        for tail in TAILS[:count]
        for before in (b"", restart)
    )


def fingerprint(file: bytes) -> bytes:
    """Returns a hash of the pixels of a JPEG."""
    image = JpegImageFile(BytesIO(file))
    image.load()
    digest = hashlib.sha256()
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        digest.update(image.crop((0, top, image.width, min(top + rows, image.height))).tobytes())
    return digest.digest()
