"""Preprocessed pixels, bit-equal to the stored reference."""

import pickle

import numpy as np
import pytest
from PIL import Image

from model.preprocess import BICUBIC, BILINEAR, Preprocessor, resize
from tests.golden.cases import HERE, photos

STORED = {BICUBIC: np.load(HERE / "pixels.npz"), BILINEAR: np.load(HERE / "pixels_bilinear.npz")}


@pytest.mark.parametrize("name", photos())
@pytest.mark.parametrize("side", [32, 7])
@pytest.mark.parametrize("resample", STORED)
def test_pixels_equal_the_reference_bit_for_bit(name, side, resample):
    np.testing.assert_array_equal(resize(photos()[name], (side, side), resample), STORED[resample][f"{name} to {side}"])


def test_a_pillow_image_gives_the_same_pixels_as_its_array():
    image = Image.fromarray(next(iter(photos().values())))
    np.testing.assert_array_equal(resize(image, (7, 9)), resize(np.asarray(image), (7, 9)))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_a_pillow_image_that_is_not_rgb_is_refused(mode):
    with pytest.raises(ValueError, match=f"a Pillow image must be RGB. Received: {mode}"):
        resize(Image.new(mode, (4, 4)), (8, 8))


@pytest.mark.parametrize(("resample", "words"), [(BICUBIC, "antialiased bicubic"), (BILINEAR, "antialiased bilinear")])
def test_preprocessing_describes_the_resize_in_words(resample, words):
    preprocessor = pickle.loads(pickle.dumps(Preprocessor((24, 32), resample)))  # noqa: S301 (our own, as for a worker process)
    assert (preprocessor.shape, preprocessor.longest_side) == ((24, 32, 3), 32)
    assert preprocessor.description.startswith(f"whole image squashed to 24 x 32 by Pillow's {words} on uint8")


def test_the_whole_image_is_resized_even_to_a_size_that_is_not_square():
    left_red = np.where(np.arange(100)[None, :, None] < 50, [255, 0, 0], [0, 0, 255]).astype(np.uint8).repeat(10, 0)
    resized = resize(left_red, (4, 6))
    assert resized.shape == (4, 6, 3)
    assert resized[2, 0].tolist() == [255, 0, 0]
    assert resized[2, -1].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
    ids=lambda image: f"{image.dtype}-{image.ndim}-{image.shape[-1]}",
)
def test_an_array_that_is_not_an_rgb_uint8_image_is_refused(image):
    with pytest.raises(ValueError, match=r"\[H, W, 3\] uint8\. Received"):
        resize(image, (8, 8))
