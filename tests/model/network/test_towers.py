"""The towers' checks of their inputs. `test_siglip.py` compares their outputs with the stored reference."""

import numpy as np
import pytest

from model.network.siglip import SigLIP
from tests.model.conftest import SQUARE


@pytest.mark.parametrize(
    ("images", "ids", "message"),
    [
        (np.zeros((1, 31, 32, 3), np.uint8), np.ones((1, 16), np.int32), r"images must be \[B, 32, 32, 3\]"),
        (np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 15), np.int32), r"token_ids must be \[B, 16\]"),
    ],
)
def test_the_error_for_a_wrong_shape_has_the_expected_shape(images, ids, message):
    with pytest.raises(ValueError, match=message):
        SigLIP(SQUARE)({"images": images, "token_ids": ids})
