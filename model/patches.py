"""Resizes an RGB image to the patches of a NaFlex image tower, which keeps its aspect ratio.

Oracle: `transformers.Siglip2ImageProcessorPil`. It chooses the largest scale at which the image, with both sides
rounded up to whole patches, has at most `max_num_patches`; then it resizes by Pillow's antialiased bilinear on uint8.

A prepared image is one record of uint8 of a fixed size, so that batches, caches and processes need not know more:

| bytes             | content                                                             |
|-------------------|---------------------------------------------------------------------|
| HEADER_BYTES      | rows and columns of patches, each in two bytes, the lower one first |
| N x P x P x 3     | the patches, row by row, each [P, P, 3]; zeros after the last one   |

`model.network.naflex` reads it.
"""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from model.preprocess import BILINEAR, FILTERS, ImageLike, as_image

HEADER_BYTES = 4
MAX_NUM_PATCHES = 256  # of the published checkpoints
# Attention compares all pairs of patches: with more, a tower would need gigabytes for one image. Trained were 1,024.
MOST_PATCHES = 4_096
CHANNELS = 3


@dataclass(frozen=True)
class NaFlexPreprocessor:
    """Prepares images for one checkpoint's image tower. It can be pickled, and needs neither Keras nor the checkpoint.

    Attributes:
        max_num_patches: N, the most patches of an image.
        patch_size: P, the side of a patch in pixels.
        resample: The filter, by Pillow's number.

    Raises:
        ValueError: `max_num_patches` is not 1 to MOST_PATCHES.
    """

    max_num_patches: int = MAX_NUM_PATCHES
    patch_size: int = 16
    resample: int = BILINEAR

    def __post_init__(self) -> None:
        if type(self.max_num_patches) is not int or not 1 <= self.max_num_patches <= MOST_PATCHES:
            raise ValueError(
                f"max_num_patches must be a whole number, 1 to {MOST_PATCHES:,}. Received: {self.max_num_patches!r}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a prepared image, which is uint8."""
        return (HEADER_BYTES + self.max_num_patches * CHANNELS * self.patch_size**2,)

    @property
    def longest_side(self) -> int:
        """The longest side of the tower's input in pixels, which a strip of one row of patches has."""
        return self.max_num_patches * self.patch_size

    @property
    def description(self) -> str:
        """What is done to an image, in words."""
        return (
            f"aspect ratio kept; resized to at most {self.max_num_patches} patches of {self.patch_size} x "
            f"{self.patch_size} by Pillow's antialiased {FILTERS[self.resample]} on uint8, then x / 127.5 - 1"
        )

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        """Returns the record of an image, [R] uint8, from [H, W, 3] uint8 or Pillow's.

        Raises:
            ValueError: An array is not [H, W, 3] uint8, or a Pillow image is not RGB.
        """
        image, side = as_image(rgb), self.patch_size
        rows, columns = patch_grid(image.height, image.width, side, self.max_num_patches)
        resized = image.resize((columns * side, rows * side), Image.Resampling(self.resample))
        patches = np.asarray(resized).reshape(rows, side, columns, side, CHANNELS).swapaxes(1, 2)
        record = np.zeros(self.shape, np.uint8)
        record[:HEADER_BYTES] = np.array([rows, columns], "<u2").view(np.uint8)
        record[HEADER_BYTES:][: patches.size] = patches.ravel()
        return record


def patch_grid(height: int, width: int, patch_size: int, max_num_patches: int) -> tuple[int, int]:
    """Returns the rows and columns of an image's patches.

    The reference's binary search, with its bounds and its steps: in another arithmetic some images get another grid.

    | image      | at most 256 patches of 16 x 16 |
    |------------|--------------------------------|
    | 480 x 640  | 14 x 18                        |
    | 16 x 400   | 3 x 75                         |
    | 5000 x 300 | 64 x 4                         |
    """
    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        scale = (low + high) / 2
        rows, columns = scaled_grid(height, width, patch_size, scale)
        low, high = (scale, high) if rows * columns <= max_num_patches else (low, scale)
    return scaled_grid(height, width, patch_size, low)


def scaled_grid(height: int, width: int, patch_size: int, scale: float) -> tuple[int, int]:
    """Returns the rows and columns of patches, at least one, of an image at a scale."""
    rows, columns = (max(1, math.ceil(side * scale / patch_size)) for side in (height, width))
    return rows, columns
