"""Augmented images: their shape, reproducibility, and no change except size at difficulty 0."""

import numpy as np
import pytest

from training.augment import augment, sketch


@pytest.fixture
def square() -> np.ndarray:
    """A red square in the middle of a transparent image, [4, 96, 96, 4]."""
    rgba = np.zeros((4, 96, 96, 4), np.uint8)
    rgba[:, 24:72, 24:72] = (255, 0, 0, 255)
    return rgba


def test_at_difficulty_0_the_image_is_only_resized_and_put_on_white(square: np.ndarray) -> None:
    images = augment(square, np.zeros(4, bool), 0.0, np.random.default_rng(0))
    assert images.shape == (4, 64, 64, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:, 32, 32], [[255, 0, 0]] * 4)
    np.testing.assert_array_equal(images[:, 4, 4], [[255, 255, 255]] * 4)


def test_colours_of_transparent_pixels_do_not_change_the_edges(square: np.ndarray) -> None:
    square[:, :24] = (0, 255, 0, 0)  # invisible green above the square
    images = augment(square, np.zeros(4, bool), 0.0, np.random.default_rng(0)).astype(int)
    assert (images[..., 1] - images[..., 2]).max() <= 1, "no pixel is greener than it is blue"


def test_at_full_difficulty_equal_seeds_give_equal_images_and_other_seeds_do_not(
    square: np.ndarray,
) -> None:
    first, same, other = (augment(square, np.ones(4, bool), 1.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()


def test_a_sketch_is_dark_at_colour_edges_and_white_elsewhere() -> None:
    image = np.ones((1, 64, 64, 3), np.float32)
    image[:, 20:40, 20:40] = (1, 0, 0)
    lines = sketch(image)
    assert lines[0, 30, 19].max() < 0.1
    np.testing.assert_array_equal(lines[0, [5, 30], [5, 30]], np.ones((2, 3), np.float32))
