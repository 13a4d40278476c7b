"""The model, compared with `transformers.SiglipModel` at each stage: |d cosine| <= 5e-6, |d logit| <= 1e-3.

Both compute in float32. The difference of a correct stage is only rounding, about 2e-5 of its standard deviation at 27
layers. A wrong epsilon, GELU or tensor gives more than 1e-3.

The published checkpoints with Base towers, and one with So400m towers, are compared here at full size and at each
stage. The others are compared in tests/acceptance/test_full_size.py.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoProcessor, SiglipModel
from transformers.initialization import no_init_weights

from model.checkpoint.hf_config import config_json, from_hf
from model.checkpoint.variants import load_model
from model.checkpoint.weights import load_checkpoint, save_checkpoint
from model.engines.load import load_encoder
from model.network.positions import interpolate_positions
from model.network.siglip import SigLIP
from model.processor import SigLIPProcessor
from model.published import EMBEDDED, EMBEDDED_DIRECTORY, VARIANTS
from model.text.tokenizer import SigLIPTokenizer
from tests.golden.cases import CONFIGS, HERE, OTHER_SIZES, pixels, token_ids
from tests.golden.published import PUBLISHED, PUBLISHED_1
from tests.golden.stages import COSINE, LOGIT, compare_stages, our_stages
from tests.parity.full_size import LIGHT, full_size_difference
from tests.parity.reference import normalized, reference_model, reference_stages


def assert_agree(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Asserts that two models give the same outputs, for inputs whose cosines differ enough to prove it."""
    difference = compare_stages(ours, theirs)
    assert difference.proves_equal, difference


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("row", LIGHT, ids=lambda row: f"{row.variant}-{row.weights}")
def test_a_published_checkpoint_agrees_at_full_size_and_each_stage(row, directory):
    difference = full_size_difference(row, directory, every_stage=True)
    assert difference.proves_equal, difference


def test_openvino_agrees_with_the_reference_at_full_size(tmp_path):
    row = next(row for row in PUBLISHED_1 if row[:2] == ("SigLIPBaseP16", "google_224"))
    config = from_hf(row.config_json())
    images, ids = pixels(config.vision.image_size, 3), token_ids(config, 4)
    theirs = reference_stages(reference_model(row.config_json(), tmp_path), images, ids)
    tokenizer = SigLIPProcessor(*EMBEDDED).tokenizer  # any tokenizer: the token ids are given
    save_checkpoint(load_model(row.variant, tmp_path), tmp_path, tokenizer=tokenizer)
    encoder = load_encoder(weights=str(tmp_path), engine="openvino", max_batch=4)
    image_embedding, text_embedding = encoder.encode_images(images), encoder.encode_texts(ids)
    cosines = image_embedding @ text_embedding.T
    their_cosines = theirs["image_embedding"] @ theirs["text_embedding"].T
    assert np.ptp(their_cosines) > 300 * COSINE, "cosines that are almost equal prove nothing"
    assert np.abs(cosines - their_cosines).max() <= COSINE
    assert np.abs(encoder.scale * cosines + encoder.bias - theirs["image_logits"]).max() <= LOGIT


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row.variant}-{row.weights}")
def test_the_reference_with_our_config_has_the_published_number_of_parameters(row):
    with no_init_weights(), torch.device("meta"):
        config = AutoConfig.for_model(**config_json(VARIANTS[row.variant][row.weights].config))
        reference = AutoModel.from_config(config)
    assert round(sum(parameter.numel() for parameter in reference.parameters()) / 1e6, 2) == row.millions


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_small_model_agrees_with_both_attention_implementations(name, attention, tmp_path):
    config = CONFIGS[name]
    reference = reference_model(config_json(config), tmp_path)
    reference.set_attn_implementation(attention)
    images, ids = pixels(config.vision.image_size, 3), token_ids(config, 5)
    assert_agree(our_stages(load_model(None, tmp_path), images, ids), reference_stages(reference, images, ids))


@pytest.mark.parametrize(("name", "size"), [(name, size) for name in OTHER_SIZES for size in OTHER_SIZES[name]])
def test_another_image_size_agrees_with_interpolate_pos_encoding(name, size, tmp_path):
    config = CONFIGS[name]
    reference = reference_model(config_json(config), tmp_path)
    images, ids = pixels(size, 3), token_ids(config, 5)
    model = load_model(None, tmp_path, input_shape=(*size, 3))
    assert_agree(our_stages(model, images, ids), reference_stages(reference, images, ids))


@pytest.mark.parametrize("size", [(448, 448), (112, 112), (256, 160), (32, 992), (240, 224), (112, 448)])
def test_positions_of_a_published_grid_are_interpolated_like_in_the_reference(size):
    reference = reference_model({"vision_config": {"hidden_size": 24, "num_hidden_layers": 1, "intermediate_size": 8}})
    embeddings = reference.vision_model.embeddings
    patches = normalized(np.zeros((1, *size, 3), np.uint8))
    theirs = embeddings.interpolate_pos_encoding(embeddings.patch_embedding(patches).flatten(2).mT, *size)[0]
    table = embeddings.position_embedding.weight.numpy()
    ours = interpolate_positions(table, (14, 14), (size[0] // 16, size[1] // 16))
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_reads_a_checkpoint_saved_by_save_checkpoint(name, dtype, tmp_path):
    config, model = CONFIGS[name], SigLIP(CONFIGS[name])
    reference_model(config_json(config), tmp_path / "perturbed")
    load_checkpoint(model, tmp_path / "perturbed")
    save_checkpoint(model, tmp_path / "saved", dtype=dtype)
    # Load the rounded weights, so that both models compute with the same ones in float32.
    load_checkpoint(model, tmp_path / "saved")
    reference, report = SiglipModel.from_pretrained(tmp_path / "saved", dtype="float32", output_loading_info=True)
    assert {key: value for key, value in report.items() if value} == {}
    images, ids = pixels(config.vision.image_size, 3), token_ids(config, 5)
    assert_agree(our_stages(model, images, ids), reference_stages(reference, images, ids))


def small(tmp_path: Path) -> Path:
    """Saves a small model with a vocabulary by `save_checkpoint`, and returns its directory."""
    save_checkpoint(SigLIP(CONFIGS["square"]), tmp_path, tokenizer=SigLIPTokenizer(HERE / "spiece.model", 16, 400))
    return tmp_path


@pytest.mark.parametrize("which", ["saved", "embedded"])
def test_auto_classes_of_transformers_give_our_logits_from_our_directory(which, tmp_path):
    directory = EMBEDDED_DIRECTORY / EMBEDDED[1] if which == "embedded" else small(tmp_path)
    texts, photo = ["a photo of a cat", "DOG!", "snow_leopard", "猫", ""], pixels((90, 61), 1)[0]
    inputs = SigLIPProcessor(weights=directory)(text=texts, images=photo)
    ours = load_model(None, directory)({"images": inputs["images"], "token_ids": inputs["input_ids"]})
    reference, processor = (
        AutoModel.from_pretrained(directory, dtype="float32"),
        AutoProcessor.from_pretrained(directory),
    )
    batch = processor(text=texts, images=photo, padding="max_length", truncation=True, return_tensors="pt")
    assert sorted(batch) == ["input_ids", "pixel_values"]
    theirs = reference(**batch).logits_per_image
    np.testing.assert_allclose(ours["image_logits"], theirs.numpy(), rtol=0, atol=LOGIT)
