"""Bicubic interpolation as in torch. test_siglip.py tests whole models at other image sizes."""

import numpy as np
import pytest

from model.network.positions import cubic, cubic_matrix, interpolate_positions

TABLE = np.random.default_rng(0).normal(0, 1, (3 * 4, 5)).astype(np.float32)


def test_interpolating_to_the_same_grid_changes_nothing():
    np.testing.assert_allclose(interpolate_positions(TABLE, (3, 4), (3, 4)), TABLE, atol=1e-6)


@pytest.mark.parametrize("grid", [(6, 8), (2, 3), (1, 1), (9, 2)])
def test_a_constant_table_stays_constant_up_to_the_border(grid):
    resized = interpolate_positions(np.full((12, 2), 7, np.float32), (3, 4), grid)
    assert resized.shape == (grid[0] * grid[1], 2)
    np.testing.assert_allclose(resized, 7, rtol=1e-6)


def test_rows_and_columns_are_not_swapped():
    ramp = np.repeat(np.arange(4, dtype=np.float32), 4)[:, None]
    resized = interpolate_positions(ramp, (4, 4), (8, 4)).reshape(8, 4)
    np.testing.assert_allclose(resized, resized[:, :1].repeat(4, axis=1), atol=1e-6)
    assert (np.diff(resized[1:-1, 0]) > 0).all()


def test_the_kernel_is_that_of_torch_and_not_of_pillow():
    # a = -0.75: at half a step the outer weights are -0.09375, the inner ones 0.59375. Pillow's a = -0.5 gives -0.0625.
    assert [cubic(x) for x in (-1.5, -0.5, 0.5, 1.5)] == [-0.09375, 0.59375, 0.59375, -0.09375]
    np.testing.assert_allclose(cubic_matrix(5, 9).sum(axis=1), 1, atol=1e-12)


def test_float16_tables_stay_float16():
    assert interpolate_positions(TABLE.astype(np.float16), (3, 4), (2, 2)).dtype == np.float16
