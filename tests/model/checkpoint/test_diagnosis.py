"""The message about tensors that do not fit. test_saved_directories.py has the likely cause of each kind."""

from pathlib import Path

import pytest

from model.checkpoint.diagnosis import Mismatch, describe, other_model
from tests.model.conftest import SQUARE

LONG = "vision_model.encoder.layers.{}.self_attn.q_proj.weight"


def test_the_message_has_at_most_15_lines_and_names_of_every_kind():
    names = [LONG.format(i) for i in range(900)]
    found = Mismatch(
        900,
        missing=dict.fromkeys(names, (32, 32)),
        unexpected=names,
        wrong_shape=dict.fromkeys(names, ((1, 2), (2, 1))),
        wrong_type=dict.fromkeys(names, "I64"),
    )
    lines = describe(found, Path("/tuned"), SQUARE, ["F32", "F16"]).splitlines()
    assert len(lines) <= 15
    assert lines[0].startswith("/tuned does not fit the model: ")
    assert lines[0].endswith("Of 900 tensors: 900 missing, 900 unexpected, 900 wrong shape, 900 wrong type")
    assert lines[1:4] == [
        f"  missing: {names[0]} [32, 32]",
        f"  missing: {names[1]} [32, 32]",
        f"  missing: and 898 more, such as {names[-1]} [32, 32]",
    ]
    assert lines[7] == f"  wrong shape: {names[0]} is [1, 2], not [2, 1]"
    assert lines[10] == f"  wrong type: {names[0]} is I64, not one of F32, F16"


def test_no_difference_is_false():
    assert not Mismatch(9)
    assert Mismatch(9, unexpected=["a"])


def test_three_names_of_a_kind_are_all_shown():
    message = describe(Mismatch(9, unexpected=["a", "b", "c"]), Path("d"), SQUARE, [])
    assert message.splitlines()[1:] == ["  unexpected: a", "  unexpected: b", "  unexpected: c"]


@pytest.mark.parametrize(
    ("name", "is_", "cause"),
    [
        (
            "text_model.embeddings.token_embedding.weight",
            (401, 32),
            "text_config.vocab_size in config.json is 400, and",
        ),
        ("text_model.embeddings.token_embedding.weight", (400, 31), "its tensors were changed"),
        (
            "text.positional_embedding",
            (32, 32),
            "text_cfg.context_length in config.json is 16, and the file has 32 rows",
        ),
        ("visual.trunk.pos_embed", (1, 36, 32), "image_size in config.json does not fit 36 positions"),
        ("vision_model.embeddings.position_embedding.weight", (16, 31), "its tensors were changed"),
    ],
)
def test_the_cause_names_the_value_in_the_config_that_differs(name, is_, cause):
    message = describe(Mismatch(9, wrong_shape={name: (is_, (1,))}), Path("d"), SQUARE, [])
    assert message.startswith(f"d does not fit the model: {cause}")


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"model_type": "siglip", "architectures": ["SiglipModel"]}, None),
        ({"model_type": "siglip2"}, None),
        ({"model_type": "bert"}, None),
        ({}, None),
        ({"model_type": "siglip2", "architectures": ["Siglip2ForImageClassification"]}, "is an image classifier"),
        ({"model_type": "siglip2_vision_model"}, "is only a part of a SigLIP"),
        ({"model_type": "llava"}, "is a language model"),
        ({"model_type": "clip"}, "is a CLIP"),
        ({"architecture": "vit_base_patch16_siglip_224"}, "is an image tower of timm"),
    ],
)
def test_a_known_other_model_is_named(values, what):
    found = other_model(values)
    assert found == what if what is None else str(found).startswith(what)
