"""From an image file to what the image tower takes. It runs in a worker process."""

from typing import NamedTuple, Protocol

import numpy as np
from PIL import Image

from app.images.decode import DecodedImage, DecodeOptions, decode

# A JPEG that may be reduced is decoded at the smallest scale whose sides are at least this many times the tower's:
# benchmarks/jpeg.py measures what that saves, and how close the embeddings stay.
OVERSAMPLING = 2


class Preprocessor(Protocol):
    """Converts an RGB image to the tower's input. It is pickled, and its module must not import TensorFlow."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a prepared image, which is uint8. Only the encoder knows what it means."""

    @property
    def longest_side(self) -> int:
        """The longest side of the tower's input in pixels."""

    def __call__(self, rgb: Image.Image, /) -> np.ndarray: ...


class Preparation(NamedTuple):
    """How all images are decoded and prepared. For the fields see `DecodeOptions`."""

    preprocessor: Preprocessor
    max_image_pixels: int
    convert_profiles: bool = True
    reduce_jpegs: bool = False

    def prepare(self, data: bytes, frame: int) -> tuple[np.ndarray, DecodedImage]:
        """Returns the tower's input, and the decoded image.

        Raises:
            ServiceError: One of `app.errors.IMAGE_ERRORS`; see `decode`.
        """
        least_side = OVERSAMPLING * self.preprocessor.longest_side if self.reduce_jpegs else None
        decoded = decode(data, DecodeOptions(self.max_image_pixels, self.convert_profiles, least_side, frame))
        return np.ascontiguousarray(self.preprocessor(decoded.rgb)), decoded
