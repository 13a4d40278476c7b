"""Images for tests, and a check that a file shows them. HEVC and AV1 keep flat colours within 4 levels."""

import numpy as np

from app.images.decode import DecodedImage, DecodeOptions, decode
from tests.app.image_files import pixels_of, quarters

LOSSY = 4  # levels
PIXELS = quarters(64)  # 64 x 128
LARGE = quarters(128)
ALPHA = np.tile(np.linspace(0, 255, 128).astype(np.uint8), (64, 1))
ON_WHITE = np.rint(PIXELS * (ALPHA[..., None] / 255) + 255 - ALPHA[..., None])
RAMP = np.tile(np.linspace(0, 1023, 128).astype(np.uint16), (64, 1))
TEN_BITS = np.dstack([RAMP, RAMP[:, ::-1], np.full_like(RAMP, 512)])
TURNED, DEEP, BLENDED = "exif_orientation_applied", "reduced_from_16_bit", "alpha_composited_on_white"


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns an image as an EXIF orientation shows it."""
    return {
        1: pixels,
        2: pixels[:, ::-1],
        3: np.rot90(pixels, 2),
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: np.rot90(pixels, 3),
        7: np.rot90(pixels, 2).transpose(1, 0, 2),
        8: np.rot90(pixels),
    }[orientation]


def read(data: bytes, **options: int) -> DecodedImage:
    return decode(data, DecodeOptions(10_000_000, **options))


def assert_shows(image: DecodedImage, pixels: np.ndarray, *notes: str, tolerance: int = LOSSY) -> None:
    assert (image.height, image.width) == pixels.shape[:2]
    np.testing.assert_allclose(pixels_of(image).astype(int), pixels, atol=tolerance)
    assert image.notes == list(notes)
