"""What the towers cost on a GPU, in float32 and bfloat16, with and without XLA, and how true each way stays.

    python -m benchmarks.gpu [VARIANT WEIGHTS]          random weights of a published shape; nothing is downloaded
    python -m benchmarks.gpu --weights DIRECTORY        a checkpoint's own

Writes benchmarks/results/gpu.json. A time is a batch's whole way: from NumPy to the device, through the tower and back.
The reference is float32 without XLA on the same device, where TensorFlow may compute float32 products as TF32. Without
a GPU all is run on the CPU, and says so.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model.checkpoint.variants import load_model
from model.engines.tensorflow_encoder import batch_sizes, choose_gpu, describe_gpu
from model.network.siglip import SigLIP

RESULTS = Path(__file__).parent / "results/gpu.json"
IMAGES, TEXTS = 64, 32
WAYS = [("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True)]


class Way:
    """Both towers in one type, compiled by XLA or not, as the service traces them."""

    def __init__(self, model: SigLIP, dtype: str, xla: bool):
        self.name = {"dtype": dtype, "xla": xla}
        images = tf.TensorSpec((None, *model.config.vision.image_size, 3), tf.uint8)
        token_ids = tf.TensorSpec((None, model.config.text.context_length), tf.int32)
        self.towers = {
            "image": tf.function(model.encode_images, [images], jit_compile=xla),
            "text": tf.function(model.encode_texts, [token_ids], jit_compile=xla),
        }

    def encode(self, tower: str, rows: np.ndarray) -> np.ndarray:
        """Returns the embeddings of one batch, as NumPy."""
        return self.towers[tower](tf.constant(rows)).numpy()

    def encode_each(self, tower: str, rows: np.ndarray) -> np.ndarray:
        """Returns the embeddings of any number of rows, each computed alone."""
        return np.concatenate([self.encode(tower, row[None]) for row in rows])


def machine(gpu: "tf.config.PhysicalDevice | None") -> dict[str, Any]:
    """Returns what was measured on."""
    driver = None
    if gpu and (command := shutil.which("nvidia-smi")):
        query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, check=False, stdout=subprocess.PIPE, text=True).stdout.strip() or None
    return {
        "gpu": describe_gpu(gpu) if gpu else None,
        "driver": driver,
        "arch": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "tf32": bool(gpu) and tf.config.experimental.tensor_float_32_execution_enabled(),
    }


def models(options: argparse.Namespace) -> dict[str, SigLIP]:
    """Returns the model in each type, of the same weights."""
    if options.weights:
        return {dtype: load_model(None, options.weights, dtype=dtype) for dtype in ("float32", "bfloat16")}
    tf.keras.utils.set_random_seed(0)
    variant, weights = options.shape or ("SigLIPBaseP16", "google_224")
    exact = SigLIP(shape_of(variant, weights))
    rough = SigLIP(exact.config, dtype="bfloat16")
    for theirs, ours in zip(exact.weights, rough.weights, strict=True):
        ours.assign(theirs)
    return {"float32": exact, "bfloat16": rough}


def shape_of(variant: str, weights: str):
    """Returns a published checkpoint's architecture."""
    from model.published import VARIANTS, choose_weights

    choose_weights(variant, weights)  # an unknown name is told with all that are known
    return VARIANTS[variant][weights].config


def random_images(chance: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Returns images of a few rectangles each, [B, H, W, 3] uint8: flat parts and edges, where noise has neither."""
    images = np.empty((IMAGES, *size, 3), np.uint8)
    for image in images:
        image[:] = chance.integers(256, size=3)
        for _ in range(8):
            top, left = chance.integers(size[0]), chance.integers(size[1])
            image[top : top + size[0] // 2, left : left + size[1] // 2] = chance.integers(256, size=3)
    return images


def rounds(ways: list[Way], tower: str, rows: np.ndarray, repeats: int) -> list[dict[str, Any]]:
    """Returns the times of one batch in every way, each way once a round."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(repeats):
        for way, taken in zip(ways, times, strict=True):
            began_s = time.perf_counter()
            way.encode(tower, rows)
            taken.append(time.perf_counter() - began_s)
    found = []
    for way, taken in zip(ways, times, strict=True):
        low, median, high = statistics.quantiles(taken, n=4, method="inclusive")
        ms = {"median_ms": median * 1e3, "quartiles_ms": [low * 1e3, high * 1e3], "per_s": len(rows) / median}
        found.append({"tower": tower, **way.name, "batch": len(rows), **ms})
    return found


def fidelity(ways: list[Way], images: np.ndarray, texts: np.ndarray) -> list[dict[str, Any]]:
    """Returns how near each way's embeddings are to the first's, and how often they choose the same text."""
    found: list[dict[str, Any]] = []
    exact = [ways[0].encode_each("image", images), ways[0].encode_each("text", texts)]
    for way in ways[1:]:
        ours = [way.encode_each("image", images), way.encode_each("text", texts)]
        row: dict[str, Any] = dict(way.name)
        for tower, one, other in zip(("image", "text"), exact, ours, strict=True):
            cosines = np.sum(one.astype(float) * other, axis=-1)
            row |= {f"{tower}_cosine_mean": float(cosines.mean()), f"{tower}_cosine_worst": float(cosines.min())}
        best = [(image @ text.T).argmax(axis=-1) for image, text in (exact, ours)]
        found.append({**row, "top_1_agreement": float(np.mean(best[0] == best[1]))})
    return found


def warm(way: Way, inputs: dict[str, np.ndarray], sizes: list[int], gpu: bool) -> dict[str, Any]:
    """Returns what tracing, compiling and running each batch size once took, and the device's memory at its peak."""
    if gpu:
        tf.config.experimental.reset_memory_stats("GPU:0")
    began_s = time.perf_counter()
    for size in sizes:
        for tower, rows in inputs.items():
            way.encode(tower, rows[:size])
    seconds = time.perf_counter() - began_s
    # All models stay on the device, so this is with the weights of both types.
    peak_bytes = tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpu else None
    return {**way.name, "warm_up_s": seconds, "peak_bytes": peak_bytes}


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("shape", nargs="*", metavar="VARIANT WEIGHTS", help="default: SigLIPBaseP16 google_224")
    parser.add_argument("--weights", metavar="DIRECTORY", help="a checkpoint directory, instead of random weights")
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if len(options.shape) not in (0, 2) or (options.shape and options.weights):
        parser.error("give VARIANT and WEIGHTS, or --weights DIRECTORY, or neither")
    if not 1 <= options.max_batch <= TEXTS or options.repeats < 2:
        parser.error(f"--max-batch is 1 to {TEXTS}, --repeats at least 2")
    gpu = choose_gpu("auto")
    print(
        f"on {describe_gpu(gpu)}" if gpu else "NO GPU: TensorFlow sees none, and what follows is the CPU's", flush=True
    )
    began_s = time.perf_counter()
    loaded = models(options)
    load_s = time.perf_counter() - began_s
    ways = [Way(loaded[dtype], dtype, xla) for dtype, xla in WAYS]
    config, chance = loaded["float32"].config, np.random.default_rng(0)
    inputs = {
        "image": random_images(chance, config.vision.image_size),
        "text": chance.integers(config.text.vocab_size, size=(TEXTS, config.text.context_length), dtype=np.int32),
    }
    sizes = batch_sizes(options.max_batch)
    start = [warm(way, inputs, sizes, gpu is not None) for way in ways]
    rows = [
        row
        for tower, all_rows in inputs.items()
        for n in sizes
        for row in rounds(ways, tower, all_rows[:n], options.repeats)
    ]
    result = {
        "machine": machine(gpu),
        "weights": options.weights or " ".join(["random:", *(options.shape or ("SigLIPBaseP16", "google_224"))]),
        "repeats": options.repeats,
        "load_both_types_s": load_s,
        "start": start,
        "rows": rows,
        "fidelity": fidelity(ways, *inputs.values()),
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in [*start, *rows, *result["fidelity"]]:
        print(row)


if __name__ == "__main__":
    main()
