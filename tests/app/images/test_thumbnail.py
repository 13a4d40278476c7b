"""Thumbnails: the whole image, undistorted, as a JPEG."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app.images.thumbnail import SIDE_PIXELS, ThumbnailPreprocessor, fitted, thumbnail
from app.schemas import ImageFacts
from tests.app.image_files import quarters


@pytest.mark.parametrize(
    ("size", "expected"),
    [((320, 160), (160, 80)), ((30, 20), (30, 20)), ((5000, 1), (160, 1)), ((100, 400), (40, 160))],
)
def test_an_image_fits_into_the_square_and_is_not_enlarged(size, expected):
    assert fitted(*size, SIDE_PIXELS) == expected


def test_a_thumbnail_shows_the_whole_image():
    rgb = Image.fromarray(quarters(400))
    prepare = ThumbnailPreprocessor()
    square = prepare(rgb)
    assert square.shape == prepare.shape == (prepare.longest_side, prepare.longest_side, 3)
    jpeg = thumbnail(square, ImageFacts(width=800, height=400, format="PNG", notes=[]))
    assert jpeg.startswith(b"\xff\xd8\xff")
    small = np.asarray(Image.open(BytesIO(jpeg)))
    assert small.shape == (80, 160, 3)
    np.testing.assert_allclose(small[::79, ::159], quarters(400)[::399, ::799], atol=6)
