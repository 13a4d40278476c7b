"""Resizes an RGB image to the input of the image tower.

Oracle: `transformers.SiglipImageProcessorPil`. It squashes the whole image to S x S (no crop, no padding) with Pillow's
antialiased filter on uint8: bicubic for SigLIP 1, bilinear for SigLIP 2. Filters of the same names in other libraries
give other pixels. The tower itself scales the pixels to [-1, 1].
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

# By Pillow's numbers, which Hugging Face's `resample` uses too. Nearest, 0, is not supported: it does not antialias.
FILTERS = {1: "Lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "Hamming"}
BILINEAR, BICUBIC = 2, 3

ImageLike = np.ndarray | Image.Image  # [H, W, 3] uint8, or a Pillow image, which is not copied


def resize(rgb: ImageLike, image_size: tuple[int, int], resample: int = BICUBIC) -> np.ndarray:
    """Returns the image at the tower's size, [S, S, 3] uint8.

    Raises:
        ValueError: An array is not [H, W, 3] uint8, or a Pillow image is not RGB. Values are never rescaled.
    """
    height, width = image_size
    return np.asarray(as_image(rgb).resize((width, height), Image.Resampling(resample)))


def as_image(rgb: ImageLike) -> Image.Image:
    """Returns the image as a Pillow image.

    Raises:
        ValueError: As `resize`.
    """
    if isinstance(rgb, np.ndarray):
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise ValueError(f"an image must be [H, W, 3] uint8. Received: {list(rgb.shape)} {rgb.dtype}")
        return Image.fromarray(rgb)
    if rgb.mode != "RGB":
        raise ValueError(f"a Pillow image must be RGB. Received: {rgb.mode}")
    return rgb


@dataclass(frozen=True)
class Preprocessor:
    """Prepares images for one checkpoint's image tower. It can be pickled, and needs neither Keras nor the checkpoint.

    Attributes:
        image_size: (H, W) of the tower's input in pixels.
        resample: The filter, by Pillow's number.
    """

    image_size: tuple[int, int]
    resample: int = BICUBIC

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a prepared image, which is uint8."""
        return (*self.image_size, 3)

    @property
    def longest_side(self) -> int:
        """The longest side of the tower's input in pixels."""
        return max(self.image_size)

    @property
    def description(self) -> str:
        """What is done to an image, in words."""
        height, width = self.image_size
        return (
            f"whole image squashed to {height} x {width} by Pillow's antialiased {FILTERS[self.resample]} on uint8, "
            "then x / 127.5 - 1"
        )

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        """Returns an image, [H, W, 3] uint8 or Pillow's, at the tower's size, [S, S, 3] uint8; see `resize`."""
        return resize(rgb, self.image_size, self.resample)
