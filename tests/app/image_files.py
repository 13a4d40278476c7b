"""Small image files for tests."""

from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from app.images.decode import DecodedImage

RED, GREEN, BLUE, WHITE = (200, 30, 40), (20, 180, 60), (10, 40, 220), (255, 255, 255)


def plain_image(colour: tuple[int, int, int] = RED, side: int = 24) -> np.ndarray:
    """Returns [side, side, 3] uint8 of one colour."""
    return np.full((side, side, 3), colour, np.uint8)


def quarters(side: int = 16) -> np.ndarray:
    """Returns a wide image with four quarters of different colours, [side, 2 * side, 3] uint8.

    A rotated or mirrored copy differs from it.
    """
    top = np.hstack([plain_image(RED, side)[: side // 2], plain_image(GREEN, side)[: side // 2]])
    bottom = np.hstack([plain_image(BLUE, side)[: side // 2], plain_image(WHITE, side)[: side // 2]])
    return np.vstack([top, bottom])


def pixels_of(image: DecodedImage) -> np.ndarray:
    """Returns [H, W, 3] uint8."""
    return np.asarray(image.rgb)


def encoded(pixels: np.ndarray | Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """Returns the bytes of an image file."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()
