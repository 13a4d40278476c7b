import numpy as np
import pytest

from app.batch import BatchError
from app.batch.embedding import encode


def test_a_device_error_is_reported_with_the_first_line_of_its_message():
    def tower(_rows: np.ndarray) -> np.ndarray:
        raise MemoryError("OOM when allocating\nand much more")

    with pytest.raises(
        BatchError, match=r"cannot compute a batch of 2, which SIGLIP_MAX_BATCH limits: OOM when alloc.*g$"
    ):
        encode(tower, [np.zeros(3), np.zeros(3)])


def test_embeddings_that_are_not_finite_are_an_error():
    with pytest.raises(BatchError, match="not numbers"):
        encode(lambda rows: np.full(rows.shape, np.nan), [np.zeros(3)])
