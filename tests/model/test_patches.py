"""Patches of NaFlex: compared with the stored reference, `Siglip2ImageProcessorPil`."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from model.network.naflex import split_records
from model.patches import HEADER_BYTES, NaFlexPreprocessor, patch_grid
from tests.golden.cases import HERE, PATCH_LIMITS, patch_photos

STORED = json.loads((HERE / "patches.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("limit", PATCH_LIMITS)
@pytest.mark.parametrize("name", patch_photos())
def test_grid_and_patches_equal_the_stored_reference(name, limit):
    record = NaFlexPreprocessor(limit)(patch_photos()[name])
    patches, grids = (np.asarray(values) for values in split_records(record[None], 16))
    assert [*grids[0].tolist(), hashlib.sha256(patches.tobytes()).hexdigest()] == STORED[f"{name}, at most {limit}"]


def test_at_least_20_images_are_compared():
    assert len(patch_photos()) >= 20


def test_patches_are_in_reading_order_and_padding_is_zero():
    rows, columns = 2, 3
    image = np.arange(rows * columns).reshape(rows, columns).repeat(16, 0).repeat(16, 1)[..., None].repeat(3, 2)
    record = NaFlexPreprocessor(7)(image.astype(np.uint8) + 1)
    assert record[:HEADER_BYTES].tolist() == [rows, 0, columns, 0]
    assert [set(patch) for patch in record[HEADER_BYTES:].reshape(7, -1)] == [{1}, {2}, {3}, {4}, {5}, {6}, {0}]


@pytest.mark.parametrize(
    ("height", "width", "limit", "grid"),
    [
        (480, 640, 256, (14, 18)),
        (16, 400, 256, (3, 75)),
        (5000, 300, 256, (64, 4)),
        (1, 32_768, 256, (1, 256)),
        (32_768, 1, 1024, (1024, 1)),
        (1, 1, 256, (7, 7)),  # the reference enlarges at most 100 times
        (9999, 9999, 1, (1, 1)),
    ],
)
def test_the_grid_of_an_image(height, width, limit, grid):
    assert patch_grid(height, width, 16, limit) == grid


def test_no_image_has_more_patches_than_allowed():
    rng = np.random.default_rng(0)
    for height, width, limit in zip(*rng.integers(1, (32_768, 32_768, 2_000), (500, 3)).T.tolist(), strict=True):
        rows, columns = patch_grid(height, width, 16, limit)
        assert 1 <= rows * columns <= limit


def test_a_grid_of_more_than_255_columns_is_read_back():
    record = NaFlexPreprocessor(1024)(np.zeros((1, 5000, 3), np.uint8))
    assert np.asarray(split_records(record[None], 16)[1]).tolist() == [[1, 1024]]


def test_an_array_and_a_pillow_image_give_the_same_record_also_after_pickling():
    image = patch_photos()["noise 17 x 23"]
    preprocessor = NaFlexPreprocessor(9)
    record = preprocessor(image)
    assert record.shape == preprocessor.shape
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(preprocessor))(Image.fromarray(image)), record)  # noqa: S301 (made here)


@pytest.mark.parametrize("limit", [0, -1, 4_097, 256.0, True, "256"])
def test_the_number_of_patches_is_limited(limit):
    with pytest.raises(ValueError, match=rf"max_num_patches must be a whole number, 1 to 4,096. Received: {limit!r}"):
        NaFlexPreprocessor(limit)


def test_a_wrong_array_is_refused():
    with pytest.raises(ValueError, match=r"must be \[H, W, 3\] uint8"):
        NaFlexPreprocessor()(np.zeros((4, 4, 4), np.uint8))
