"""The inference face: batches, tracing, types, devices."""

import numpy as np
import pytest
import tensorflow as tf

from model.config import CheckpointError
from model.encoder import DeviceError, Encoder, batch_sizes, load_encoder
from model.hub import sha256
from model.openvino_encoder import OpenVINOEncoder
from model.siglip import SigLIP
from model.variants import load_model
from model.weights import load_checkpoint
from tests.golden.cases import pixels, token_ids
from tests.model.conftest import SQUARE

IMAGES, TOKEN_IDS = pixels(SQUARE.vision.image_size, 5), token_ids(SQUARE, 5)


@pytest.fixture(scope="module", params=["tensorflow", "openvino"])
def any_encoder(request, checkpoint) -> Encoder:
    """Of each engine: what the service may ask, all of them answer."""
    encoder = load_encoder(weights=str(checkpoint), device="cpu", engine=request.param, max_batch=5)
    encoder.warm_up()
    return encoder


@pytest.fixture(scope="module")
def encoder(checkpoint) -> Encoder:
    encoder = load_encoder(weights=str(checkpoint), device="cpu", max_batch=5)
    encoder.warm_up()
    return encoder


def test_embeddings_scale_and_bias_give_the_model_s_logits(any_encoder, checkpoint):
    output = load_model(None, checkpoint)({"images": IMAGES, "token_ids": TOKEN_IDS})
    cosines = any_encoder.encode_images(IMAGES) @ any_encoder.encode_texts(TOKEN_IDS).T
    np.testing.assert_allclose(any_encoder.scale * cosines + any_encoder.bias, output["image_logits"], atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_size_of_a_batch_does_not_change_its_rows(any_encoder, count):
    images, texts = any_encoder.encode_images(IMAGES[:count]), any_encoder.encode_texts(TOKEN_IDS[:count])
    assert images.shape == texts.shape == (count, 32)
    assert images.dtype == texts.dtype == np.float32
    for row in range(count):
        np.testing.assert_allclose(images[row], any_encoder.encode_images(IMAGES[row : row + 1])[0], atol=1e-6)
        np.testing.assert_allclose(texts[row], any_encoder.encode_texts(TOKEN_IDS[row : row + 1])[0], atol=1e-6)


def traces(encoder: Encoder) -> list[int]:
    return [tower.experimental_get_tracing_count() for tower in (encoder.image_tower, encoder.text_tower)]


def test_after_the_warm_up_neither_thousands_of_calls_nor_the_self_test_trace_anything(encoder):
    assert traces(encoder) == [len(encoder.batch_sizes)] * 2
    for call in range(1000):
        count = 1 + call % encoder.max_batch
        encoder.encode_images(IMAGES[:count])
        encoder.encode_texts(TOKEN_IDS[:count])
    encoder.self_test()
    assert traces(encoder) == [len(encoder.batch_sizes)] * 2


class OutOfMemoryOnce(SigLIP):
    """Its image tower's first batch of three or more finds no memory left, inside TensorFlow's runtime."""

    memory_is_short = True

    def allocate(self, images: np.ndarray) -> np.ndarray:
        if len(images) > 2 and self.memory_is_short:
            self.memory_is_short = False
            raise MemoryError
        return images

    def encode_images(self, images):
        return super().encode_images(
            tf.ensure_shape(tf.numpy_function(self.allocate, [images], tf.uint8), images.shape)
        )


@pytest.mark.parametrize("warm", [True, False])
def test_after_a_batch_that_found_no_memory_every_batch_is_computed(encoder, checkpoint, warm):
    model = OutOfMemoryOnce(SQUARE)
    load_checkpoint(model, checkpoint)
    short = Encoder(model, encoder.processor, encoder.info, max_batch=5, compile_xla=False)
    if warm:
        model.memory_is_short = False
        short.warm_up()
        model.memory_is_short = True
    with pytest.raises(tf.errors.ResourceExhaustedError):
        short.encode_images(IMAGES)
    for count in (1, 5, 3, 2, 4):
        np.testing.assert_allclose(
            short.encode_images(IMAGES[:count]), encoder.encode_images(IMAGES[:count]), atol=1e-6
        )
    assert short.image_tower.experimental_get_tracing_count() == len(short.batch_sizes)


def test_what_xla_compiles_is_traced_once_a_size_and_smaller_batches_are_padded(encoder, checkpoint):
    compiled = Encoder(load_model(None, checkpoint), encoder.processor, encoder.info, max_batch=3, compile_xla=True)
    compiled.warm_up()
    for count in (1, 2, 3):
        np.testing.assert_allclose(
            compiled.encode_images(IMAGES[:count]), encoder.encode_images(IMAGES[:count]), atol=1e-6
        )
        np.testing.assert_allclose(
            compiled.encode_texts(TOKEN_IDS[:count]), encoder.encode_texts(TOKEN_IDS[:count]), atol=1e-6
        )
    assert compiled.batch_sizes == [1, 2, 3]
    assert traces(compiled) == [3, 3]


@pytest.mark.parametrize(("largest", "sizes"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])])
def test_batch_sizes_are_powers_of_two_and_the_largest(largest, sizes):
    assert batch_sizes(largest) == sizes


@pytest.mark.parametrize("count", [0, 6])
def test_an_empty_or_too_large_batch_is_refused(any_encoder, count):
    with pytest.raises(ValueError, match=f"a batch must have 1 to 5 rows. Received: {count}"):
        any_encoder.encode_images(np.zeros((count, 32, 32, 3), np.uint8))


def test_an_encoder_for_no_rows_is_refused(encoder, checkpoint):
    with pytest.raises(ValueError, match="max_batch must be at least 1"):
        load_encoder(weights=str(checkpoint), max_batch=0)


def test_images_and_texts_are_prepared_as_the_checkpoint_wants_them(any_encoder):
    assert any_encoder.prepare_image(np.zeros((7, 9, 3), np.uint8)).shape == (32, 32, 3)
    assert any_encoder.prepare_text(["a cat", ""]).shape == (2, 16)


def test_bfloat16_is_close_to_float32(encoder, checkpoint):
    half = load_encoder(weights=str(checkpoint), device="cpu", dtype="bfloat16", max_batch=5)
    assert half.info.dtype == "bfloat16"
    for exact, rough in (
        (encoder.encode_images(IMAGES), half.encode_images(IMAGES)),
        (encoder.encode_texts(TOKEN_IDS), half.encode_texts(TOKEN_IDS)),
    ):
        assert rough.dtype == np.float32
        # bfloat16 has 8 bits: three layers of it leave a cosine right to about a hundredth.
        assert (exact * rough).sum(axis=-1).min() > 0.999
        np.testing.assert_allclose(np.linalg.norm(rough, axis=-1), 1, atol=1e-6)


def test_info_says_what_is_loaded(any_encoder, checkpoint):
    info = any_encoder.info
    assert (info.variant, info.weights, info.revision, info.demonstration) == ("custom", checkpoint.name, None, False)
    assert (info.image_size, info.context_length, info.embed_dim, info.vocab_size) == ((32, 32), 16, 32, 400)
    assert (info.dtype, info.device) == ("float32", "CPU")
    engines = {Encoder: "tensorflow", OpenVINOEncoder: "openvino"}
    assert info.engine == engines[type(any_encoder)]
    assert info.sha256 == sha256(checkpoint / "model.safetensors")
    assert "squashed to 32 x 32" in info.preprocessing


def test_info_says_which_rules_are_in_force(encoder, checkpoint_2):
    assert "bicubic" in encoder.info.preprocessing
    assert "pieces of spiece.model; </s>; padded with </s>" in encoder.info.canonicalisation
    info = load_encoder(weights=str(checkpoint_2), device="cpu", max_batch=1).info
    assert "squashed to 32 x 32 by Pillow's antialiased bilinear" in info.preprocessing
    assert info.canonicalisation == "lower case; pieces of tokenizer.model; <eos>; padded with <pad>"


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_not_a_slow_answer(checkpoint):
    with pytest.raises(DeviceError, match="TensorFlow sees no GPU"):
        load_encoder(weights=str(checkpoint), device="gpu")


def test_an_unknown_device_is_refused(checkpoint):
    with pytest.raises(ValueError, match="device must be auto, gpu or cpu"):
        load_encoder(weights=str(checkpoint), device="tpu")


def test_a_checkpoint_that_is_not_there_is_an_error():
    with pytest.raises(CheckpointError, match="unknown weights 'google_1024'"):
        load_encoder(weights="google_1024")


@pytest.mark.parametrize("given", [{"device": "gpu"}, {"dtype": "bfloat16"}])
def test_openvino_refuses_what_it_does_not_compute(checkpoint, given):
    with pytest.raises(DeviceError, match="openvino computes on the CPU in float32"):
        load_encoder(weights=str(checkpoint), engine="openvino", **given)


def test_an_unknown_engine_is_refused(checkpoint):
    with pytest.raises(ValueError, match="engine must be tensorflow or openvino"):
        load_encoder(weights=str(checkpoint), engine="onnx")
