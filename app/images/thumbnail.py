"""Small JPEGs of images, for reports. Untrusted files are decoded in the worker processes, like any other image."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from app.schemas import ImageFacts

QUALITY = 80
SIDE_PIXELS = 160


@dataclass(frozen=True)
class ThumbnailPreprocessor:
    """Fits an RGB image into a square without distortion; the rest is white. It runs in a worker process."""

    side: int = SIDE_PIXELS

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a prepared image, which is uint8."""
        return (self.side, self.side, 3)

    @property
    def longest_side(self) -> int:
        """The longest side of the result in pixels."""
        return self.side

    def __call__(self, rgb: Image.Image, /) -> np.ndarray:
        """Returns [side, side, 3] uint8; the image is at the upper left."""
        square = Image.new("RGB", (self.side, self.side), "white")
        square.paste(rgb.resize(fitted(rgb.width, rgb.height, self.side), Image.Resampling.BICUBIC))
        return np.asarray(square)


def fitted(width: int, height: int, side: int) -> tuple[int, int]:
    """Returns the width and height of an image that fits into a square; small images are not enlarged."""
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def thumbnail(square: np.ndarray, facts: ImageFacts) -> bytes:
    """Returns the JPEG of an image that `ThumbnailPreprocessor` prepared.

    Args:
        square: [side, side, 3] uint8.
        facts: The sides of the image.
    """
    width, height = fitted(facts.width, facts.height, len(square))
    file = BytesIO()
    Image.fromarray(np.ascontiguousarray(square[:height, :width])).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
