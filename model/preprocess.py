"""One RGB image to the pixels that the image tower takes.

Oracle: `transformers.SiglipImageProcessorPil`: the whole image squashed to S x S (no crop, no padding) by Pillow's
antialiased filter on uint8, bicubic for the first SigLIP and bilinear for SigLIP 2. Scaling to [-1, 1] happens inside
the tower. Other libraries' filters of these names differ.
"""

import numpy as np
from PIL import Image

# By the numbers that Pillow and Hugging Face's `resample` have for them; nearest, 0, does not antialias.
FILTERS = {1: "Lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "Hamming"}
BILINEAR, BICUBIC = 2, 3

ImageLike = np.ndarray | Image.Image  # [H, W, 3] uint8, or a Pillow image, of which no copy is made


def resize(rgb: ImageLike, image_size: tuple[int, int], resample: int = BICUBIC) -> np.ndarray:
    """Returns the image at the tower's size, [S, S, 3] uint8.

    Raises:
        ValueError: An array is not [H, W, 3] uint8, a Pillow image not RGB; values are never rescaled by guessing.
    """
    height, width = image_size
    return np.asarray(as_image(rgb).resize((width, height), Image.Resampling(resample)))


def as_image(rgb: ImageLike) -> Image.Image:
    """Returns an image as Pillow's.

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


def preprocessing(image_size: tuple[int, int], resample: int) -> str:
    """Returns what is done to an image, in words."""
    height, width = image_size
    return (
        f"whole image squashed to {height} x {width} by Pillow's antialiased {FILTERS[resample]} on uint8, "
        "then x / 127.5 - 1"
    )
