import numpy as np
import pytest

from app.errors import InvalidImage
from app.images.prepare import Preparation
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


def test_a_frame_is_chosen():
    with pytest.raises(InvalidImage, match="no frame 1"):
        Preparation(Preprocessor((8, 8)), max_image_pixels=1_000).prepare(encoded(quarters()), 1)
