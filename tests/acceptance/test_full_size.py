"""The heavy published checkpoints compared with transformers: |d cosine| <= 5e-6, |d logit| <= 1e-3, the same ranking.

The light ones are compared in tests/parity/test_towers.py. All tensors are perturbed. Both compute in float32. Only one
model is in memory at a time.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parity.full_size import HEAVY, full_size_difference


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("row", HEAVY, ids=lambda row: f"{row.variant}-{row.weights}")
def test_a_published_checkpoint_agrees_at_full_size(row, directory):
    difference = full_size_difference(row, directory, every_stage=False)
    assert difference.proves_equal, difference
