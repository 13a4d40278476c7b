"""Measures alternatives for the image tower and for decoding JPEGs, relative to what the service does.

    python -m benchmarks.levers DIRECTORY     writes benchmarks/results/levers.json; eight minutes with a base model

Needs requirements-peers.txt. All alternatives run in one process, except those that must be chosen before TensorFlow is
imported. Each round runs them in a new random order. All alternatives of a tower must give the same embeddings.
"""

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import model  # noqa: F401 (first, since it sets variables that TensorFlow reads)  # isort: skip
import keras
import numpy as np
import openvino
import simplejpeg
import tensorflow as tf
from keras import ops
from PIL import Image
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from app.images.decode import DecodeOptions, decode
from benchmarks.bare_tower import Tower
from benchmarks.clients import new_image
from benchmarks.machine import machine, versions
from benchmarks.service import environment
from model.engines.load import load_encoder
from model.engines.machine import available_cpus, has_avx2_only
from model.engines.openvino_cache import TOWERS
from model.engines.openvino_encoder import SETTINGS, OpenVINOEncoder, unfuse_gelu
from model.engines.tensorflow_encoder import TensorFlowEncoder
from model.network.layers import Attention, Dense
from model.preprocess import resize

RESULTS = Path(__file__).parent / "results/levers.json"
BATCHES, ROUNDS, DECODES, COSINE = (1, 8), 9, 51, 0.99999
TENSORFLOW, OPENVINO, PILLOW = "TensorFlow, as served", "OpenVINO, as served", "Pillow, as served"
Way, Call = Callable[[Any], Any], Callable[..., Any]


def tensorflow_ways(encoder: TensorFlowEncoder, batch: int) -> dict[str, Way]:
    """Returns the alternatives in TensorFlow."""
    shape = tf.TensorSpec((batch, *encoder.preprocessor.shape), tf.uint8)
    tower = encoder.model.encode_images
    fixed = tf.function(tower).get_concrete_function(shape)
    frozen = convert_variables_to_constants_v2(fixed)
    compiled = tf.function(tower, jit_compile=True).get_concrete_function(shape)
    fused = tower_with(encoder, fused_calls(encoder)).get_concrete_function(shape)
    transposed = tower_with(encoder, transposed_calls(encoder)).get_concrete_function(shape)
    return {
        TENSORFLOW: encoder.encode_images,
        "one trace per batch size": lambda images: fixed(tf.constant(images)).numpy(),
        "weights frozen into the graph": lambda images: frozen(tf.constant(images))[0].numpy(),
        "XLA, compiled per batch size": lambda images: compiled(tf.constant(images)).numpy(),
        "query, key and value in one MatMul": lambda images: fused(tf.constant(images)).numpy(),
        "kernels in the layout of Keras' Dense": lambda images: transposed(tf.constant(images)).numpy(),
    }


def fused_calls(encoder: TensorFlowEncoder) -> dict[keras.Layer, Call]:
    """Returns calls that compute query, key and value of each block in one product."""
    calls = {}
    for attention in (block.attention for block in encoder.model.vision.blocks):
        parts = (attention.query, attention.key, attention.value)
        kernel, bias = (np.concatenate([getattr(part, name) for part in parts]) for name in ("kernel", "bias"))
        calls[attention] = partial(fused_call, attention, tf.constant(kernel), tf.constant(bias))
    return calls


def fused_call(attention: Attention, kernel: tf.Tensor, bias: tf.Tensor, x: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
    """Returns the self-attention of `x`, as `Attention.call` does."""
    q, k, v = (attention.split(each) for each in ops.split(ops.matmul(x, ops.transpose(kernel)) + bias, 3, axis=-1))
    return attention.out(ops.reshape(ops.dot_product_attention(q, k, v), ops.shape(x)))


def transposed_calls(encoder: TensorFlowEncoder) -> dict[keras.Layer, Call]:
    """Returns calls whose kernels are stored as in Keras's Dense, [in, out]."""
    layers = encoder.model.vision._flatten_layers()
    return {
        dense: partial(transposed_call, dense, tf.Variable(dense.kernel.numpy().T))
        for dense in layers
        if isinstance(dense, Dense)
    }


def transposed_call(dense: Dense, kernel: tf.Variable, x: tf.Tensor) -> tf.Tensor:
    """Returns the same as `Dense.call`."""
    rows = ops.matmul(ops.reshape(x, (-1, x.shape[-1])), kernel) + dense.bias
    return ops.reshape(rows, (-1, *x.shape[1:-1], dense.units))


def tower_with(encoder: TensorFlowEncoder, calls: dict[keras.Layer, Call]) -> tf.types.experimental.PolymorphicFunction:
    """Returns the image tower, traced with these calls instead of the layers' own."""

    def tower(images: tf.Tensor) -> tf.Tensor:
        for layer, call in calls.items():
            layer.call = call
        try:
            return encoder.model.encode_images(images)
        finally:
            for layer in calls:
                del layer.call

    return tf.function(tower, autograph=False)


def openvino_ways(encoder: OpenVINOEncoder, graph: Path, batch: int) -> dict[str, Way]:
    """Returns the alternatives in OpenVINO."""

    def compiled(rows: int | None, unfused: bool = has_avx2_only(), **settings: Any) -> Way:
        read = openvino.Core().read_model(graph)
        if rows:
            read.reshape([rows, *encoder.preprocessor.shape])
        if unfused:
            unfuse_gelu(read)
        given = SETTINGS | {"INFERENCE_NUM_THREADS": available_cpus()} | settings
        request = openvino.compile_model(read, "CPU", given).create_infer_request()
        return lambda images: np.concatenate(
            [request.infer({0: part})[0].copy() for part in np.array_split(images, batch // (rows or batch))]
        )

    return {
        OPENVINO: encoder.encode_images,
        "one graph for any batch size": compiled(None),
        "one graph per batch size": compiled(batch),
        "GELU fused with the MatMul": compiled(1, unfused=False),
        "GELU separate from the MatMul": compiled(1, unfused=True),
        "threads pinned to CPUs": compiled(1, ENABLE_CPU_PINNING=True),
        "threads not pinned": compiled(1, ENABLE_CPU_PINNING=False),
        "one thread": compiled(1, INFERENCE_NUM_THREADS=1),
        "twice the threads": compiled(1, INFERENCE_NUM_THREADS=2 * available_cpus()),
    }


def decoders(size: tuple[int, int]) -> tuple[bytes, dict[str, Way]]:
    """Returns a JPEG and the alternatives for decoding and resizing it."""
    file = BytesIO()
    Image.open(BytesIO(new_image())).resize(size).save(file, "JPEG", quality=90)
    to = (224, 224)
    return file.getvalue(), {
        PILLOW: lambda jpeg: resize(decode(jpeg, DecodeOptions(size[0] * size[1])).rgb, to),
        "simplejpeg": lambda jpeg: resize(simplejpeg.decode_jpeg(jpeg), to),
        "TensorFlow's decoder": lambda jpeg: resize(tf.io.decode_jpeg(jpeg, dct_method="INTEGER_ACCURATE").numpy(), to),
    }


def without_onednn(directory: str, inputs: str, batch: int) -> list[dict[str, Any]]:
    """Returns the rows of the one alternative that needs a separate process."""
    served = environment(WEIGHTS=directory, MAX_BATCH=str(batch))
    ways = {TENSORFLOW: Tower(served, inputs), "oneDNN off": Tower(served | {"TF_ENABLE_ONEDNN_OPTS": "0"}, inputs)}
    try:
        what = f"{'image' if inputs == 'images' else 'text'} tower, batch of {batch}"
        return compare(what, batch, {name: tower.seconds for name, tower in ways.items()}, ROUNDS)
    finally:
        for tower in ways.values():
            tower.process.kill()


def compare(what: str, given: Any, ways: dict[str, Way], rounds: int) -> list[dict[str, Any]]:
    """Returns and prints a row for each alternative: its time relative to the first one's."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    order = random.Random(0)
    for _ in range(rounds):
        for name in order.sample(list(ways), len(ways)):
            began_s = time.perf_counter()
            ways[name](given)
            times[name].append(time.perf_counter() - began_s)
            time.sleep(0.02)  # thread pools spin for a while after their work, which would slow down the next one
    served, *_ = ways
    rows = []
    for name in ways:
        ratios = [one / other for one, other in zip(times[name], times[served], strict=True)]
        low, median, high = (round(quartile, 3) for quartile in statistics.quantiles(ratios, n=4))
        rows.append({"what": what, "way": name, "over": served, "ratio": median, "spread": [low, high]})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def towers(directory: str, batch: int) -> list[dict[str, Any]]:
    """Returns the rows of one batch size."""
    with tempfile.TemporaryDirectory() as folder:
        ours = [
            load_encoder(weights=directory, device="cpu", engine=engine, engine_cache=Path(folder), max_batch=batch)
            for engine in ("tensorflow", "openvino")
        ]
        (graph,) = Path(folder).glob(f"*/{TOWERS['image']}")
        images = np.random.default_rng(0).integers(0, 256, (batch, *ours[0].preprocessor.shape), np.uint8)
        rows = []
        for ways in (tensorflow_ways(ours[0], batch), openvino_ways(ours[1], graph, batch)):
            expected, *found = (way(images) for way in ways.values())
            cosines = [(expected * each).sum(axis=-1).min() for each in found]
            if min(cosines) < COSINE:
                sys.exit(f"not the same embeddings: {dict(zip(list(ways)[1:], cosines, strict=True))}")
            rows += compare(f"image tower, batch of {batch}", images, ways, ROUNDS)
    return rows


def main(directory: str) -> None:
    """Measures, prints and saves."""
    rows = [row for batch in BATCHES for row in towers(directory, batch)]
    for inputs, batch in (("images", 1), ("images", 8), ("texts", 1), ("texts", 16)):
        rows += without_onednn(directory, inputs, batch)
    for size in ((640, 480), (4000, 3000)):
        rows += compare(f"decode and resize a JPEG of {size[0]} x {size[1]}", *decoders(size), DECODES)
    packages = versions("tensorflow", "openvino", "pillow", "simplejpeg")
    result = {"machine": machine(), "versions": packages, "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
