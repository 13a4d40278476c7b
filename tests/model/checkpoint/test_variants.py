"""The functions that build or load a named variant."""

import json

import numpy as np
import pytest

import model
from model.checkpoint.hf_config import config_json
from model.checkpoint.variants import load_model
from model.checkpoint.weights import save_checkpoint
from model.config import CheckpointError
from model.network.siglip import SigLIP
from model.published import EMBEDDED, VARIANTS
from tests.model.conftest import SQUARE

TINY = VARIANTS[EMBEDDED[0]][EMBEDDED[1]].config


def random_tiny(**options) -> SigLIP:
    """Returns the smallest named variant with random weights."""
    return getattr(model, EMBEDDED[0])(weights=None, **options)


def test_without_weights_the_model_has_the_config_of_the_variant():
    assert random_tiny().config == TINY


def test_every_variant_is_a_function_with_its_first_weights_as_default():
    for variant, named in VARIANTS.items():
        assert getattr(model, variant).__defaults__[0] == next(iter(named))


@pytest.mark.parametrize("input_shape", [(96, 96, 3), (64, 112, 3)])
def test_a_model_can_have_another_input_shape(input_shape):
    siglip = random_tiny(input_shape=input_shape)
    assert siglip.config.vision.image_size == input_shape[:2]
    assert siglip.encode_images(np.zeros((1, *input_shape), np.uint8)).shape == (1, TINY.embed_dim)


@pytest.mark.parametrize("input_shape", [(64, 64), (64, 64, 1), (2, 64, 3), (3, 64, 64)])
def test_an_invalid_input_shape_is_refused(input_shape):
    with pytest.raises(ValueError, match=r"input_shape must be \(H, W, 3\) with sides of at least"):
        random_tiny(input_shape=input_shape)


def test_a_directory_is_loaded_with_the_architecture_of_its_config(checkpoint):
    assert load_model(None, str(checkpoint)).config == SQUARE


def test_a_directory_of_another_variant_is_refused(checkpoint):
    with pytest.raises(CheckpointError, match="is not a SigLIPBaseP16 but another model"):
        model.SigLIPBaseP16(weights=str(checkpoint))


@pytest.mark.parametrize(
    ("source", "tokenizer_class", "expected"),
    [
        ("SigLIPBaseP16", "SiglipTokenizer", "SigLIPBaseP16"),
        ("SigLIPBaseP16", "GemmaTokenizer", "SigLIP2BaseP16"),
        ("SigLIP2BaseP16", None, "SigLIP2BaseP16"),
        ("SigLIP2So400mP16", "SiglipTokenizer", "SigLIPSo400mP16"),
        ("SigLIP2GiantOptP16", "SiglipTokenizer", "another model"),
    ],
)
def test_the_tokenizer_decides_the_generation(source, tokenizer_class, expected, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config_json(next(iter(VARIANTS[source].values())).config)))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
    for variant in {"SigLIPBaseP16", "SigLIP2BaseP16", "SigLIPSo400mP14", "SigLIP2So400mP14"} - {expected}:
        with pytest.raises(CheckpointError, match=f"is not a {variant} but {expected}"):
            load_model(variant, tmp_path)
    if expected in VARIANTS:
        with pytest.raises(CheckpointError, match="has neither"):
            load_model(expected, tmp_path)


def test_a_variant_function_loads_a_fine_tune_of_the_variant(tmp_path):
    tuned = random_tiny(input_shape=(96, 96, 3))
    save_checkpoint(tuned, tmp_path)
    loaded = getattr(model, EMBEDDED[0])(weights=str(tmp_path))
    assert loaded.config == tuned.config
    np.testing.assert_array_equal(loaded.text.head.kernel, tuned.text.head.kernel)


def test_the_error_for_unknown_weights_lists_the_known_ones():
    with pytest.raises(CheckpointError, match="Known: SigLIPBaseP16: google_224, google_256"):
        model.SigLIPBaseP16(weights="webli_224")
