import numpy as np
import pytest

from app.errors import InvalidImage
from app.images.prepare import Preparation
from model.patches import NaFlexPreprocessor
from model.preprocess import Preprocessor, resize
from tests.app.image_files import GREEN, encoded, plain_image, quarters
from tests.fakes import Recorder


def test_an_image_is_decoded_and_resized():
    preparation = Preparation(Preprocessor((12, 20)), max_image_pixels=1_000)
    pixels, decoded = preparation.prepare(encoded(quarters()), 0)
    np.testing.assert_array_equal(pixels, resize(quarters(), (12, 20)))
    assert (decoded.width, decoded.height, decoded.format, decoded.notes) == (32, 16, "PNG", [])


@pytest.mark.parametrize(("reduce_jpegs", "size"), [(False, "400x400"), (True, "50x50")])
def test_a_large_jpeg_may_be_decoded_smaller(tmp_path, reduce_jpegs, size):
    recorder = Recorder(tmp_path)
    preparation = Preparation(recorder, max_image_pixels=1_000_000, reduce_jpegs=reduce_jpegs)
    _, decoded = preparation.prepare(encoded(plain_image(GREEN, 400), "JPEG"), 0)
    assert recorder.sizes() == [size]
    assert (decoded.width, decoded.height) == (400, 400)


def test_for_a_naflex_a_jpeg_is_not_reduced():
    data = encoded(np.tile(quarters(200), (1, 5, 1)), "JPEG")
    reduced, full = (
        Preparation(NaFlexPreprocessor(), max_image_pixels=1_000_000, reduce_jpegs=reduce).prepare(data, 0)[0]
        for reduce in (True, False)
    )
    np.testing.assert_array_equal(reduced, full)
    assert full[:4].tolist() == [5, 0, 50, 0]  # rows and columns of patches


def test_a_frame_is_chosen():
    with pytest.raises(InvalidImage, match="no frame 1"):
        Preparation(Preprocessor((8, 8)), max_image_pixels=1_000).prepare(encoded(quarters()), 1)
