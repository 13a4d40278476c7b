"""The engine TensorFlow: tracing, XLA, dtypes, devices.

test_encoder.py tests what all engines have in common.
"""

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
@pytest.mark.parametrize(("variables", "on"), [({}, True), ({"TF_ENABLE_ONEDNN_OPTS": "0"}, False)])
def test_onednn_is_on_unless_the_environment_turns_it_off(variables, on):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")} | variables
    script = "from model.engines.load import load_encoder; load_encoder(device='cpu')"
    run = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert ("oneDNN custom operations are on" in run.stderr) is on


def traces(encoder: Encoder) -> list[int]:
    return [tower.experimental_get_tracing_count() for tower in (encoder.image_tower, encoder.text_tower)]


@pytest.mark.slow
def test_after_the_warm_up_neither_batches_nor_the_self_test_cause_tracing(encoder):
    assert traces(encoder) == [1, 1]
    for call in range(1000):
        count = 1 + call % encoder.max_batch
        encoder.encode_images(IMAGES[:count])
        encoder.encode_texts(TOKEN_IDS[:count])
    encoder.self_test()
    assert traces(encoder) == [1, 1]


class OutOfMemoryOnce(SigLIP):
    """Runs out of memory inside TensorFlow's runtime at the first image batch of three or more rows."""

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
def test_batches_are_computed_after_one_ran_out_of_memory(encoder, checkpoint, warm):
    model = OutOfMemoryOnce(SQUARE)
    load_checkpoint(model, checkpoint)
    failing = TensorFlowEncoder(model, encoder.processor, encoder.info, max_batch=5, compile_xla=False)
    if warm:
        model.memory_is_short = False
        failing.warm_up()
        model.memory_is_short = True
    with pytest.raises(tf.errors.ResourceExhaustedError):
        failing.encode_images(IMAGES)
    for count in (1, 5, 3, 2, 4):
        np.testing.assert_allclose(
            failing.encode_images(IMAGES[:count]), encoder.encode_images(IMAGES[:count]), atol=1e-6
        )
    assert failing.image_tower.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_with_xla_towers_are_traced_once_and_batches_are_padded_to_compiled_sizes(encoder, checkpoint):
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
        # bfloat16 has 8 bits; after three layers a cosine is accurate to about 0.01.
        assert (exact * rough).sum(axis=-1).min() > 0.999
        np.testing.assert_allclose(np.linalg.norm(rough, axis=-1), 1, atol=1e-6)


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_a_missing_gpu_is_an_error_and_not_a_fallback_to_the_cpu(checkpoint):
    with pytest.raises(DeviceError, match="TensorFlow sees no GPU"):
        load_encoder(weights=str(checkpoint), device="gpu")


def test_an_unknown_device_is_refused(checkpoint):
    with pytest.raises(ValueError, match="device must be auto, gpu or cpu"):
        load_encoder(weights=str(checkpoint), device="tpu")


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="this machine has a GPU")
def test_tf32_is_refused_without_a_gpu(checkpoint):
    with pytest.raises(DeviceError, match=r"dtype tf32 needs an NVIDIA GPU of compute capability 8\.0"):
        load_encoder(weights=str(checkpoint), dtype="tf32")


def test_int8_is_refused(checkpoint):
    with pytest.raises(DeviceError, match="dtype int8 needs the engine openvino"):
        load_encoder(weights=str(checkpoint), dtype="int8")


@pytest.mark.slow
def test_the_number_of_threads_is_the_number_of_available_cpus():
    script = """if True:
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        from model.engines.load import load_encoder
        load_encoder(device="cpu", max_batch=1)
        import tensorflow as tf
        print(tf.config.threading.get_intra_op_parallelism_threads())
    """
    stdout = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert stdout == "1\n"
