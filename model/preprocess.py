"""One RGB image to the pixels that the image tower takes.

Oracle: `transformers.SiglipImageProcessorPil`: the whole image squashed to S x S (no crop, no padding) by Pillow's
antialiased bicubic on uint8. Scaling to [-1, 1] happens inside the tower. Other libraries' "bicubic" differ.
"""

import numpy as np
from PIL import Image

PREPROCESSING = "whole image squashed to {0} x {1} by Pillow's antialiased bicubic on uint8, then x / 127.5 - 1"


def resize(rgb: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Returns the image at the tower's size, [S, S, 3] uint8, from [H, W, 3] uint8.

    Raises:
        ValueError: The array is not [H, W, 3] uint8; values are never rescaled by guessing their range.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
        raise ValueError(f"an image must be [H, W, 3] uint8. Received: {list(rgb.shape)} {rgb.dtype}")
    height, width = image_size
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))
