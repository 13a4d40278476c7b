"""Hugging Face's and open_clip's names."""

import pytest

from model.checkpoint.naming import HUGGING_FACE, OPEN_CLIP, naming_of
from model.network.siglip import SigLIP
from tests.model.conftest import SQUARE, small_weights
from tests.open_clip import open_clip_weights


def test_the_names_decide():
    assert naming_of(small_weights()) is HUGGING_FACE
    assert naming_of(open_clip_weights(small_weights())) is OPEN_CLIP
    assert naming_of([]) is HUGGING_FACE


@pytest.mark.parametrize("naming", [HUGGING_FACE, OPEN_CLIP])
def test_the_named_tensors_are_in_the_table(naming):
    assert {naming.image_positions, naming.token_table} <= naming.table(SigLIP(SQUARE)).keys()
