"""The GPU configurations, compiled by XLA: the values and graphs of half types, and what float32 and TF32 differ in."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from model.checkpoint.variants import load_model
from model.engines.encoder import Encoder
from model.engines.load import load_encoder
from model.engines.tensorflow_encoder import TensorFlowEncoder
from tests.golden.cases import pixels, token_ids
from tests.model.conftest import SQUARE

pytestmark = pytest.mark.slow  # compiles or converts a network

IMAGES, TOKEN_IDS = pixels(SQUARE.vision.image_size, 5), token_ids(SQUARE, 5)
# 1 - cosine: bfloat16 has 8 bits; after three layers a cosine is accurate to about 0.001.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def exact(checkpoint) -> Encoder:
    return load_encoder(weights=str(checkpoint), device="cpu", max_batch=5)


def half_encoder(dtype: str, checkpoint: Path, exact: Encoder) -> TensorFlowEncoder:
    model = load_model(None, checkpoint, dtype=dtype)
    return TensorFlowEncoder(model, exact.processor, exact.info, max_batch=5, compile_xla=True)


@pytest.fixture(scope="module")
def encoder(checkpoint, exact) -> TensorFlowEncoder:
    encoder = half_encoder("bfloat16", checkpoint, exact)
    encoder.warm_up()
    return encoder


@pytest.fixture(scope="module", params=["bfloat16", "float16"])
def traced(request, checkpoint, exact) -> tuple[tf.DType, TensorFlowEncoder]:
    """A dtype, and an encoder of this dtype that has compiled nothing."""
    return tf.as_dtype(request.param), half_encoder(request.param, checkpoint, exact)


@pytest.fixture(params=["image", "text"])
def graph(request, traced) -> tf.Graph:
    """The TensorFlow graph of one tower."""
    tower = traced[1].image_tower if request.param == "image" else traced[1].text_tower
    return tower.get_concrete_function().graph


def types(graph: tf.Graph, *operations: str) -> set[tf.DType]:
    """Returns the output dtypes of all operations of these types."""
    return {op.outputs[0].dtype for op in graph.get_operations() if op.type in operations}


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_compiled_bfloat16_embeddings_are_close_to_float32(encoder, exact, count):
    for ours, theirs in (
        (encoder.encode_images(IMAGES[:count]), exact.encode_images(IMAGES[:count])),
        (encoder.encode_texts(TOKEN_IDS[:count]), exact.encode_texts(TOKEN_IDS[:count])),
    ):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(ours, axis=-1), 1, atol=1e-6)
        assert (ours * theirs).sum(axis=-1).min() > 1 - TOLERANCE
        assert np.abs(ours - theirs).max() > 1e-5, "the towers must not be float32"


def test_matrix_products_have_the_dtype(graph, traced):
    assert types(graph, "MatMul", "BatchMatMulV2", "Conv2D", "Einsum") == {traced[0]}


def test_softmax_and_norm_statistics_are_float32(graph):
    for operation in ("Softmax", "Mean", "SquaredDifference", "Rsqrt"):
        assert types(graph, operation) == {tf.float32}, operation


def test_the_embedding_is_normalised_in_float32(graph):
    (embedding,) = graph.outputs
    (quotient,) = [
        op for op in graph.get_operations() if op.type == "RealDiv" and op.outputs[0].shape.as_list() == [None, 32]
    ]
    assert [tensor.dtype for tensor in quotient.inputs] == [tf.float32] * 2
    assert embedding.dtype == tf.float32


def test_the_image_tower_takes_uint8_images(encoder):
    graph = encoder.image_tower.get_concrete_function().graph
    assert graph.inputs[0].dtype == tf.uint8
    consumers = graph.inputs[0].consumers()
    assert [(op.type, op.outputs[0].dtype) for op in consumers] == [("Cast", tf.float32)], "the graph scales the pixels"


def test_logits_are_float32(encoder):
    output = encoder.model({"images": IMAGES, "token_ids": TOKEN_IDS})
    assert output["image_logits"].dtype == tf.float32


@pytest.mark.parametrize(("dtype", "precision"), [("float32", {"highest"}), ("tf32", set())])
def test_xla_may_use_tf32_only_if_it_is_the_dtype(dtype, precision, exact):
    encoder = TensorFlowEncoder(
        exact.model, exact.processor, replace(exact.info, dtype=dtype), max_batch=1, compile_xla=True
    )
    encoder.encode_images(IMAGES[:1])
    compiled = encoder.image_tower.experimental_get_compiler_ir(IMAGES[:1])(stage="hlo")
    products = [line for line in compiled.splitlines() if re.search(r" (dot|convolution)\(", line)]
    assert len(products) > 10
    for product in products:
        assert set(re.findall(r"operand_precision={(\w+),\1}", product)) == precision


@pytest.mark.slow
def test_nothing_is_compiled_after_the_warm_up(checkpoint, tmp_path):
    script = """if True:
        import sys
        from pathlib import Path
        import numpy as np
        from model.engines.load import load_encoder
        from model.engines.tensorflow_encoder import TensorFlowEncoder
        exact = load_encoder(weights=sys.argv[1], device="cpu")
        encoder = TensorFlowEncoder(exact.model, exact.processor, exact.info, max_batch=5, compile_xla=True)
        compiled = lambda: len(list(Path(sys.argv[2]).glob("*before_optimizations.txt")))
        encoder.warm_up()
        warm = compiled()
        for count in range(1, 6):
            encoder.encode_images(np.zeros((count, 32, 32, 3), np.uint8))
            encoder.encode_texts(np.ones((count, 16), np.int32))
        print(warm, compiled())
    """
    environment = os.environ | {"XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"}
    command = [sys.executable, "-c", script, str(checkpoint), str(tmp_path)]
    stdout = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    assert stdout.split() == ["8", "8"], "four batch sizes of two towers"
