"""The engine TensorFlow, beyond what test_encoder.py asks of every engine: tracing, XLA, types, devices."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from model.checkpoint.variants import load_model
from model.checkpoint.weights import load_checkpoint
from model.engines.encoder import DeviceError, Encoder
from model.engines.load import load_encoder
from model.engines.tensorflow_encoder import TensorFlowEncoder, batch_sizes
from model.network.siglip import SigLIP
from tests.golden.cases import pixels, token_ids
from tests.model.conftest import SQUARE

IMAGES, TOKEN_IDS = pixels(SQUARE.vision.image_size, 5), token_ids(SQUARE, 5)


@pytest.fixture(scope="module")
def encoder(checkpoint) -> Encoder:
    encoder = load_encoder(weights=str(checkpoint), device="cpu", max_batch=5)
    encoder.warm_up()
    return encoder


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "on"), [({}, True), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, False)])
def test_onednn_is_on_whatever_the_processor_unless_told_otherwise(chosen, on):
    given = {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | chosen
    script = "from model.engines.load import load_encoder; load_encoder(device='cpu')"
    run = subprocess.run([sys.executable, "-c", script], env=given, check=True, capture_output=True, text=True)
    assert ("oneDNN custom operations are on" in run.stderr) is on


def traces(encoder: Encoder) -> list[int]:
    return [tower.experimental_get_tracing_count() for tower in (encoder.image_tower, encoder.text_tower)]


@pytest.mark.slow
def test_after_the_warm_up_neither_thousands_of_calls_nor_the_self_test_trace_anything(encoder):
    assert traces(encoder) == [1, 1]
    for call in range(1000):
        count = 1 + call % encoder.max_batch
        encoder.encode_images(IMAGES[:count])
        encoder.encode_texts(TOKEN_IDS[:count])
    encoder.self_test()
    assert traces(encoder) == [1, 1]


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
    short = TensorFlowEncoder(model, encoder.processor, encoder.info, max_batch=5, compile_xla=False)
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
    assert short.image_tower.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_what_xla_compiles_is_traced_once_too_and_smaller_batches_are_padded(encoder, checkpoint):
    compiled = TensorFlowEncoder(
        load_model(None, checkpoint), encoder.processor, encoder.info, max_batch=3, compile_xla=True
    )
    compiled.warm_up()
    for count in (1, 2, 3):
        np.testing.assert_allclose(
            compiled.encode_images(IMAGES[:count]), encoder.encode_images(IMAGES[:count]), atol=1e-6
        )
        np.testing.assert_allclose(
            compiled.encode_texts(TOKEN_IDS[:count]), encoder.encode_texts(TOKEN_IDS[:count]), atol=1e-6
        )
    assert compiled.compiled_sizes == [1, 2, 3]
    assert traces(compiled) == [1, 1]


@pytest.mark.parametrize(("largest", "sizes"), [(1, [1]), (2, [1, 2]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])])
def test_batch_sizes_are_powers_of_two_and_the_largest(largest, sizes):
    assert batch_sizes(largest) == sizes


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


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error_and_not_a_slow_answer(checkpoint):
    with pytest.raises(DeviceError, match="TensorFlow sees no GPU"):
        load_encoder(weights=str(checkpoint), device="gpu")


def test_an_unknown_device_is_refused(checkpoint):
    with pytest.raises(ValueError, match="device must be auto, gpu or cpu"):
        load_encoder(weights=str(checkpoint), device="tpu")


def test_int8_is_refused(checkpoint):
    with pytest.raises(DeviceError, match="dtype int8 needs the engine openvino"):
        load_encoder(weights=str(checkpoint), dtype="int8")


@pytest.mark.slow
def test_its_threads_are_as_many_as_the_processors_that_may_be_used():
    script = """if True:
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from model.engines.load import load_encoder
        load_encoder(device="cpu", max_batch=1)
        import tensorflow as tf
        print(tf.config.threading.get_intra_op_parallelism_threads())
    """
    told = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert told == "1\n"
