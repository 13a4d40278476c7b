"""Interpolates position embeddings for another grid of patches. Pure NumPy.

Oracle: `SiglipVisionEmbeddings.interpolate_pos_encoding`, which calls torch's
`interpolate(mode="bicubic", align_corners=False)`: half-pixel centres, clamped edges, no antialias, a = -0.75.
The bicubic filter of Keras and TensorFlow has a = -0.5; its results differ by up to 0.3.
"""

import numpy as np

A = -0.75


def interpolate_positions(table: np.ndarray, grid: tuple[int, int], new_grid: tuple[int, int]) -> np.ndarray:
    """Returns the position table for a new grid, [rows' * columns', D], from [rows * columns, D]."""
    rows, columns = (cubic_matrix(n, m) for n, m in zip(grid, new_grid, strict=True))
    interpolated: np.ndarray = np.einsum("ri,cj,ijd->rcd", rows, columns, table.reshape(*grid, -1), optimize=True)
    return interpolated.reshape(-1, table.shape[1]).astype(table.dtype)


def cubic_matrix(n: int, m: int) -> np.ndarray:
    """Returns the [m, n] matrix that resamples n values to m."""
    matrix = np.zeros((m, n))
    for row in range(m):
        centre = (row + 0.5) * n / m - 0.5
        first = int(np.floor(centre))
        for tap in range(first - 1, first + 3):
            matrix[row, min(max(tap, 0), n - 1)] += cubic(centre - tap)
    return matrix


def cubic(x: float) -> float:
    """Returns Keys' cubic convolution kernel at x."""
    x = abs(x)
    if x <= 1:
        return (A + 2) * x**3 - (A + 3) * x**2 + 1
    return A * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0
