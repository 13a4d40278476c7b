"""The GPU benchmark as a process, and the parts of other benchmarks whose errors would go unnoticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.capacity import Costs, Load, replica, requests_per_s, table
from benchmarks.fidelity import Asked, compared
from benchmarks.gpu_products import with_gpu_products
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_gpu_benchmark_runs_without_a_gpu_and_says_so(tmp_path):
    output = tmp_path / "gpu.json"
    # TensorFlow's float16 takes minutes on a CPU.
    options = ["--max-batch", "1", "--repeats", "2", "--output", str(output), "--dtypes", "float32", "tf32", "bfloat16"]
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--weights", str(EMBEDDED_DIRECTORY / EMBEDDED[1]), *options],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert process.stdout.startswith("NO GPU")
    result = json.loads(output.read_text())
    assert result["machine"]["gpu"] is None
    variants = [(dtype, xla) for dtype in ("float32", "tf32", "bfloat16") for xla in (False, True)]
    assert [(row["dtype"], row["xla"], row["peak_bytes"]) for row in result["start"]] == [
        (*variant, None) for variant in variants
    ]
    assert [(row["tower"], row["batch"], row["dtype"], row["xla"]) for row in result["rows"]] == [
        (tower, batch, *variant) for tower in ("image", "text") for batch in (1,) for variant in variants
    ]
    for row in result["rows"]:
        assert row["quartiles_ms"][0] <= row["median_ms"] <= row["quartiles_ms"][1]
    assert [(row["dtype"], row["xla"]) for row in result["fidelity"]] == variants[1:]
    for row in result["fidelity"]:
        assert 0.98 < row["image_cosine_worst"] <= row["image_cosine_mean"] < 1.001
        assert 0.98 < row["text_cosine_worst"] <= row["text_cosine_mean"] < 1.001
        assert row["top_1_agreement"] > 0.8


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_emulated_products_round_their_inputs_to_ten_bits_and_add_in_float32(dtype):
    weights = tf.constant([[1 + 2.0**-10], [1 + 2.0**-12], [2.0**-24]], dtype)
    tower = tf.function(lambda x: tf.matmul(x, weights), [tf.TensorSpec((None, 3), dtype)])
    rows = np.array([[1, 0, 0], [0, 1, 0], [2**14, 0, 0], [1, 1, 1]], dtype)
    found = with_gpu_products(tower)(tf.constant(rows)).numpy()[:, 0]
    np.testing.assert_array_equal(found, np.array([1 + 2**-10, 1, 2**14 + 16, 2 + 2**-10], dtype))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_fidelity_is_1_for_equal_embeddings_and_lower_for_others():
    chance = np.random.default_rng(0)
    exact = unit(chance.standard_normal((20, 8))), unit(chance.standard_normal((100, 8)))
    columns = {count: np.stack([chance.choice(100, count, replace=False) for _ in range(20)]) for count in (10, 100)}
    inputs = Asked(np.zeros((20, 1, 1, 3), np.uint8), [str(number) for number in range(100)], columns)
    same = compared(exact, exact, inputs)
    assert (same["image_cosine_worst"], same["text_cosine_worst"], same["cosine_change"]) == (1.0, 1.0, 0.0)
    assert (same["same_first_of_10"], same["same_first_of_100"], same["same_order_of_10"]) == (1.0, 1.0, 1.0)
    other = compared((unit(exact[0] + 0.5 * exact[0][::-1]), exact[1]), exact, inputs)
    assert other["image_cosine_worst"] < other["image_cosine_mean"] < 0.99
    assert other["text_cosine_worst"] == 1.0
    assert other["same_first_of_100"] < other["same_first_of_10"] < 1
    assert other["same_order_of_10"] < other["same_first_of_10"]


# Of a request with a megapixel, a megabyte and ten labels: 4 ms where it is served, 10.5 ms in all with one process.
COSTS = Costs(single_ms=(1.0, 2.0, 0.1), front_end_ms=(1.0, 2.0, 0.1), decode_ms=(2.0, 4.5), device_ms=0.5)
LOAD = Load(1_000, 1_000, 1_000_000, 10)


@pytest.mark.parametrize(
    ("processes", "cores", "clients_ms", "per_s"),
    [
        (1, 16, 0, 1000 / 4),  # one process, whatever the cores
        (1, 1, 0, 1000 / 10.5),  # the only core
        (2, 2, 0, 2000 / 11),  # both cores
        (2, 2, 9, 2000 / 20),  # which the clients share
        (8, 99, 0, 2000),  # eight processes, and the device process
        (16, 99, 0, 2000),  # the device process
    ],
)
def test_the_predicted_limit_is_the_smallest_of_processes_cores_and_device_process(processes, cores, clients_ms, per_s):
    assert requests_per_s(COSTS, LOAD, processes, cores, clients_ms) == pytest.approx(per_s)


def test_a_plan_has_as_many_front_ends_as_the_device_needs_and_says_what_limits_it():
    memory = {"single": 100e6, "front_end": 90e6, "decode": 30e6, "device": 80e6, "supervisor": 10e6}
    slow = replica(COSTS, memory, LOAD, device_per_s=100, cores=16, target_per_s=1e6)
    assert (slow.limit, slow.processes, slow.decode_workers) == ("device", 1, 1)
    assert slow.memory_bytes == pytest.approx(130e6)
    fast = replica(COSTS, memory, LOAD, device_per_s=600, cores=16, target_per_s=1e6)
    assert (fast.limit, fast.processes, fast.decode_workers) == ("device", 4, 6)
    assert fast.memory_bytes == pytest.approx(4 * 90e6 + 6 * 30e6 + 90e6)
    starved = replica(COSTS, memory, LOAD, device_per_s=10_000, cores=4, target_per_s=1e6)
    assert (starved.limit, starved.images_per_s) == ("cores", pytest.approx(0.7 * 4000 / 11))
    small = replica(COSTS, memory, LOAD, device_per_s=600, cores=16, target_per_s=100)
    assert (small.limit, small.processes, small.decode_workers) == ("processes", 1, 1)
    lines = table(COSTS, memory, LOAD, 600, 16).splitlines()
    assert [line.split(" | ")[:2] for line in lines[2:]] == [
        ["| 100", "1"],
        ["| 10,000", "17"],
        ["| 1,000,000", "1,667"],
    ]
