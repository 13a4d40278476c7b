"""The table of open_clip's names. tests/parity/ compares the logits with transformers'."""

from model.checkpoint.open_clip_table import open_clip_table
from model.network.siglip import SigLIP
from tests.golden.cases import CONFIGS
from tests.model.conftest import SQUARE, small_weights
from tests.open_clip import open_clip_weights


def test_the_table_has_every_variable_once():
    model = SigLIP(SQUARE)
    listed = [variable.path for slot in open_clip_table(model).values() for variable in slot.variables]
    assert sorted(listed) == sorted(variable.path for variable in model.weights)


def test_names_and_shapes_are_those_of_open_clips_modules():
    for config in (CONFIGS["square"], CONFIGS["unequal_towers"]):
        theirs = {name: tensor.shape for name, tensor in open_clip_weights(small_weights(config)).items()}
        assert {name: slot.shape() for name, slot in open_clip_table(SigLIP(config)).items()} == theirs


def test_a_base_model_has_314_tensors_as_in_open_clip():
    model = SigLIP(SQUARE)
    blocks = len(model.vision.blocks) + len(model.text.blocks)
    assert len(open_clip_table(model)) + 12 * (24 - blocks) == 314
