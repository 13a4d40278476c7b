"""What every engine must do: embeddings, batches, preparation of inputs, and `info`."""

import numpy as np
import pytest

from model.checkpoint.hub import sha256
from model.checkpoint.variants import load_model
from model.engines.encoder import Encoder, in_parts, rows_at_once
from model.engines.load import load_encoder
from tests.golden.cases import pixels, token_ids
from tests.model.conftest import SQUARE

IMAGES, TOKEN_IDS = pixels(SQUARE.vision.image_size, 5), token_ids(SQUARE, 5)


@pytest.fixture(scope="module", params=["tensorflow", "openvino"])
def any_encoder(request, checkpoint, engine_cache) -> Encoder:
    """A warmed-up encoder of each engine."""
    encoder = load_encoder(
        weights=str(checkpoint), device="cpu", engine=request.param, engine_cache=engine_cache, max_batch=5
    )
    encoder.warm_up()
    return encoder


def test_embeddings_scale_and_bias_give_the_logits_of_the_model(any_encoder, checkpoint):
    output = load_model(None, checkpoint)({"images": IMAGES, "token_ids": TOKEN_IDS})
    cosines = any_encoder.encode_images(IMAGES) @ any_encoder.encode_texts(TOKEN_IDS).T
    np.testing.assert_allclose(any_encoder.scale * cosines + any_encoder.bias, output["image_logits"], atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_batch_size_does_not_change_the_embeddings(any_encoder, count):
    images, texts = any_encoder.encode_images(IMAGES[:count]), any_encoder.encode_texts(TOKEN_IDS[:count])
    assert images.shape == texts.shape == (count, 32)
    assert images.dtype == texts.dtype == np.float32
    for row in range(count):
        np.testing.assert_allclose(images[row], any_encoder.encode_images(IMAGES[row : row + 1])[0], atol=1e-6)
        np.testing.assert_allclose(texts[row], any_encoder.encode_texts(TOKEN_IDS[row : row + 1])[0], atol=1e-6)


@pytest.mark.parametrize("count", [0, 6])
def test_an_empty_or_too_large_batch_is_refused(any_encoder, count):
    with pytest.raises(ValueError, match=f"a batch must have 1 to 5 rows. Received: {count}"):
        any_encoder.encode_images(np.zeros((count, 32, 32, 3), np.uint8))


def test_max_batch_0_is_refused(checkpoint):
    with pytest.raises(ValueError, match="max_batch must be at least 1"):
        load_encoder(weights=str(checkpoint), max_batch=0)


def test_prepared_images_and_texts_have_the_shapes_of_the_checkpoint(any_encoder):
    assert any_encoder.preprocessor(np.zeros((7, 9, 3), np.uint8)).shape == (32, 32, 3)
    assert any_encoder.prepare_text(["a cat", ""]).shape == (2, 16)


def test_info_describes_the_loaded_checkpoint(any_encoder, checkpoint):
    info = any_encoder.info
    assert (info.variant, info.weights, info.revision, info.demonstration) == ("custom", checkpoint.name, None, False)
    assert (info.image_size, info.context_length, info.embed_dim, info.vocab_size) == ((32, 32), 16, 32, 400)
    assert (info.dtype, info.device) == ("float32", "CPU")
    engines = {"TensorFlowEncoder": "tensorflow", "OpenVINOEncoder": "openvino"}
    assert info.engine == engines[type(any_encoder).__name__]
    assert info.sha256 == sha256(checkpoint / "model.safetensors")
    assert "squashed to 32 x 32" in info.preprocessing


def test_info_resolves_the_name_of_the_current_directory(checkpoint, monkeypatch):
    monkeypatch.chdir(checkpoint)
    assert load_encoder(weights=".", device="cpu", max_batch=1).info.weights == checkpoint.name


def test_info_describes_the_preprocessing_rules(any_encoder, checkpoint_2):
    assert "bicubic" in any_encoder.info.preprocessing
    assert "pieces of spiece.model; ends with </s>; padded with </s>" in any_encoder.info.canonicalisation
    info = load_encoder(weights=str(checkpoint_2), device="cpu", max_batch=1).info
    assert "squashed to 32 x 32 by Pillow's antialiased bilinear" in info.preprocessing
    assert info.canonicalisation == "lower case; pieces of tokenizer.model; ends with <eos>; padded with <pad>"


@pytest.mark.parametrize(("positions", "rows"), [(196, 5), (64, 16), (16, 64), (1024, 1), (5000, 1)])
def test_rows_at_once_decreases_with_the_number_of_positions(positions, rows):
    assert rows_at_once(positions) == rows


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8])
def test_a_batch_computed_in_parts_gives_the_same_rows(rows):
    parts = []

    def compute(part: np.ndarray) -> np.ndarray:
        parts.append(len(part))
        return part + 1

    np.testing.assert_array_equal(in_parts(compute, np.arange(5), rows), np.arange(1, 6))
    assert max(parts) <= rows
    assert len(parts) == -(-5 // rows)
    assert max(parts) - min(parts) <= 1
