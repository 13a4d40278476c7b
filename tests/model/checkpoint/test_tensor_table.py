"""The table of tensor names, shapes and layouts."""

import numpy as np
import pytest

from model.checkpoint.tensor_table import tensor_table, to_checkpoint, to_keras
from model.config import SigLIPConfig, TextConfig, VisionConfig
from model.network.siglip import SigLIP
from model.published import VARIANTS
from tests.model.conftest import SQUARE


def test_the_table_has_every_variable_once():
    model = SigLIP(SQUARE)
    listed = [variable.path for slot in tensor_table(model).values() for variable in slot.variables]
    assert sorted(listed) == sorted(variable.path for variable in model.weights)


@pytest.mark.parametrize(
    ("variant", "weights", "tensors"),
    [("SigLIPBaseP16", "google_224", 408), ("SigLIPSo400mP14", "google_384", 888)],
)
def test_the_table_has_as_many_tensors_as_the_published_file(variant, weights, tensors):
    depth = VARIANTS[variant][weights].config.vision.depth
    small = {"width": 8, "depth": depth, "num_heads": 2, "mlp_dim": 8}
    config = SigLIPConfig(
        vision=VisionConfig(image_size=(8, 8), patch_size=8, **small),
        text=TextConfig(vocab_size=8, context_length=4, **small),
        embed_dim=8,
    )
    assert len(tensor_table(SigLIP(config))) == tensors


def test_names_and_shapes_match_the_published_files():
    shapes = {name: slot.shape() for name, slot in tensor_table(SigLIP(SQUARE)).items()}
    expected = {
        "logit_scale": (1,),
        "vision_model.embeddings.patch_embedding.weight": (32, 3, 8, 8),
        "vision_model.embeddings.position_embedding.weight": (16, 32),
        "vision_model.encoder.layers.1.mlp.fc1.weight": (64, 32),
        "vision_model.head.probe": (1, 1, 32),
        "vision_model.head.attention.in_proj_weight": (96, 32),
        "vision_model.head.attention.in_proj_bias": (96,),
        "text_model.embeddings.token_embedding.weight": (400, 32),
        "text_model.head.weight": (32, 32),
    }
    assert {name: shapes[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("layout", "shape", "ours"),
    [("conv", (4, 3, 2, 2), (2, 2, 3, 4)), ("one", (1,), ()), ("one", (1, 2, 3), (2, 3)), ("same", (2, 3), (2, 3))],
)
def test_layouts_are_converted_both_ways(layout, shape, ours):
    tensor = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    assert to_keras(layout, tensor).shape == ours
    np.testing.assert_array_equal(to_checkpoint(layout, to_keras(layout, tensor)), tensor)
