"""Wrappers in the names of tensors. test_saved_directories.py loads such files."""

import pytest

from model.checkpoint.tensor_names import stored_tensors, without_wrappers

NAMES = ["logit_scale", "vision_model.head.probe", "text_model.encoder.layers.0.mlp.fc1.bias"]


@pytest.mark.parametrize(
    "wrapped",
    [
        "{}",
        "siglip.{}",
        "module.{}",
        "_orig_mod.module.siglip.{}",
        "base_model.model.{}",
        "_fsdp_wrapped_module.model.{}",
    ],
)
def test_a_wrapper_of_all_names_is_removed(wrapped):
    stored = [wrapped.format(name) for name in NAMES]
    assert without_wrappers(stored) == dict(zip(NAMES, stored, strict=True))


def test_a_wrapper_inside_a_name_is_removed():
    stored = ["logit_scale", "vision_model._orig_mod.head.probe", "text_model.encoder.layers.0.module.mlp.fc1.bias"]
    assert without_wrappers(stored) == dict(zip(NAMES, stored, strict=True))


def test_other_tensors_keep_their_names():
    assert without_wrappers(["siglip.logit_scale", "siglip.a", "head.weight"]) == {
        "logit_scale": "siglip.logit_scale",
        "a": "siglip.a",
        "head.weight": "head.weight",
    }


@pytest.mark.parametrize(
    "names",
    [
        ["logit_scale", "ema.logit_scale", "ema.a"],
        ["a.logit_scale", "b.logit_scale"],
        ["siglip.logit_scale", "siglip.a", "a"],
        ["siglip.logit_scale", "siglip.vision_model.a", "text_model.a"],
        ["logit_scale", "siglip.vision_model.a", "siglip.text_model.a"],
        ["module.logit_scale", "logit_scale"],
        [],
    ],
)
def test_nothing_is_removed_if_it_is_not_clear_what_the_wrapper_is(names):
    assert without_wrappers(names) == {name: name for name in names}


def test_stored_tensors_have_their_file(checkpoint):
    path, name = stored_tensors(checkpoint)["logit_scale"]
    assert (path, name) == (checkpoint / "model.safetensors", "logit_scale")
