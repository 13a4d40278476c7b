"""Measures the towers on a GPU in float32, TF32, float16 and bfloat16, with and without XLA: time and accuracy.

    python -m benchmarks.gpu [VARIANT WEIGHTS]          random weights of a published shape; downloads nothing
    python -m benchmarks.gpu --weights DIRECTORY        the weights of a checkpoint

Writes benchmarks/results/gpu.json. A time includes copying the batch from NumPy to the device, the tower, and copying
the embeddings back. The reference is float32 without XLA on the same device. Without a GPU, everything runs on the CPU,
in float16 for a very long time (leave it out with --dtypes), and the output says so.
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
from model.engines.tensorflow_encoder import batch_sizes, choose_gpu, describe_gpu, has_tf32
from model.network.siglip import SigLIP

RESULTS = Path(__file__).parent / "results/gpu.json"
IMAGES, TEXTS = 64, 32
DTYPES = ["float32", "tf32", "float16", "bfloat16"]


class Mode:
    """Both towers in one dtype, with or without XLA, traced as the service traces them."""

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
        # As `TensorFlowEncoder.compute` does.
        tf.config.experimental.enable_tensor_float_32_execution(self.name["dtype"] != "float32")
        return self.towers[tower](tf.constant(rows)).numpy()

    def encode_each(self, tower: str, rows: np.ndarray) -> np.ndarray:
        """Returns the embeddings of any number of rows, each computed in a batch of one."""
        return np.concatenate([self.encode(tower, row[None]) for row in rows])


def machine(gpu: "tf.config.PhysicalDevice | None") -> dict[str, Any]:
    """Returns a description of the machine and its software."""
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
        "tf32": bool(gpu) and has_tf32(gpu),
    }


def models(options: argparse.Namespace) -> dict[str, SigLIP]:
    """Returns the model in each dtype, with the same weights. TF32 has float32's model."""
    tf.keras.utils.set_random_seed(0)
    if options.weights:
        float32 = load_model(None, options.weights)
    else:
        float32 = SigLIP(shape_of(*(options.shape or ("SigLIPBaseP16", "google_224"))))
    found = {"float32": float32, "tf32": float32}
    for dtype in options.dtypes:
        if dtype not in found:
            found[dtype] = SigLIP(float32.config, dtype=dtype)
            for source, target in zip(float32.weights, found[dtype].weights, strict=True):
                target.assign(source)
    return found


def shape_of(variant: str, weights: str):
    """Returns a published checkpoint's architecture."""
    from model.published import VARIANTS, choose_weights

    choose_weights(variant, weights)  # the error for an unknown name lists the known ones
    return VARIANTS[variant][weights].config


def random_images(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Returns images of a few rectangles each, [B, H, W, 3] uint8. Unlike noise, they have flat areas and edges."""
    images = np.empty((IMAGES, *size, 3), np.uint8)
    for image in images:
        image[:] = rng.integers(256, size=3)
        for _ in range(8):
            top, left = rng.integers(size[0]), rng.integers(size[1])
            image[top : top + size[0] // 2, left : left + size[1] // 2] = rng.integers(256, size=3)
    return images


def rounds(modes: list[Mode], tower: str, rows: np.ndarray, repeats: int) -> list[dict[str, Any]]:
    """Returns the times of one batch in every mode. Each round runs every mode once."""
    times: list[list[float]] = [[] for _ in modes]
    for _ in range(repeats):
        for mode, taken in zip(modes, times, strict=True):
            began_s = time.perf_counter()
            mode.encode(tower, rows)
            taken.append(time.perf_counter() - began_s)
    found = []
    for mode, taken in zip(modes, times, strict=True):
        low, median, high = statistics.quantiles(taken, n=4, method="inclusive")
        ms = {"median_ms": median * 1e3, "quartiles_ms": [low * 1e3, high * 1e3], "per_s": len(rows) / median}
        found.append({"tower": tower, **mode.name, "batch": len(rows), **ms})
    return found


def fidelity(modes: list[Mode], images: np.ndarray, texts: np.ndarray) -> list[dict[str, Any]]:
    """Returns how close each mode's embeddings are to the first mode's, and how often both choose the same text."""
    found: list[dict[str, Any]] = []
    exact = [modes[0].encode_each("image", images), modes[0].encode_each("text", texts)]
    for mode in modes[1:]:
        ours = [mode.encode_each("image", images), mode.encode_each("text", texts)]
        row: dict[str, Any] = dict(mode.name)
        for tower, one, other in zip(("image", "text"), exact, ours, strict=True):
            cosines = np.sum(one.astype(float) * other, axis=-1)
            row |= {f"{tower}_cosine_mean": float(cosines.mean()), f"{tower}_cosine_worst": float(cosines.min())}
        best = [(image @ text.T).argmax(axis=-1) for image, text in (exact, ours)]
        found.append({**row, "top_1_agreement": float(np.mean(best[0] == best[1]))})
    return found


def warm(mode: Mode, inputs: dict[str, np.ndarray], sizes: list[int], gpu: bool) -> dict[str, Any]:
    """Returns the time to trace, compile and run each batch size once, and the device's peak memory."""
    if gpu:
        tf.config.experimental.reset_memory_stats("GPU:0")
    began_s = time.perf_counter()
    for size in sizes:
        for tower, rows in inputs.items():
            mode.encode(tower, rows[:size])
    seconds = time.perf_counter() - began_s
    # All models stay on the device, so the peak includes the weights of all dtypes.
    peak_bytes = tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpu else None
    return {**mode.name, "warm_up_s": seconds, "peak_bytes": peak_bytes}


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.split("\n")[0])
    parser.add_argument("shape", nargs="*", metavar="VARIANT WEIGHTS", help="default: SigLIPBaseP16 google_224")
    parser.add_argument("--weights", metavar="DIRECTORY", help="a checkpoint directory, instead of random weights")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES, help="the first is the reference")
    parser.add_argument("--max-batch", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if len(options.shape) not in (0, 2) or (options.shape and options.weights):
        parser.error("give VARIANT and WEIGHTS, or --weights DIRECTORY, or neither")
    if not 1 <= options.max_batch <= TEXTS or options.repeats < 2:
        parser.error(f"--max-batch is 1 to {TEXTS}, --repeats at least 2")
    gpu = choose_gpu("auto")
    print(f"on {describe_gpu(gpu)}" if gpu else "NO GPU: TensorFlow found none, so the CPU is measured", flush=True)
    began_s = time.perf_counter()
    loaded = models(options)
    load_s = time.perf_counter() - began_s
    modes = [Mode(loaded[dtype], dtype, xla) for dtype in options.dtypes for xla in (False, True)]
    config, rng = loaded["float32"].config, np.random.default_rng(0)
    inputs = {
        "image": random_images(rng, config.vision.image_size),
        "text": rng.integers(config.text.vocab_size, size=(TEXTS, config.text.context_length), dtype=np.int32),
    }
    sizes = batch_sizes(options.max_batch)
    start = [warm(mode, inputs, sizes, gpu is not None) for mode in modes]
    rows = [
        row
        for tower, all_rows in inputs.items()
        for n in sizes
        for row in rounds(modes, tower, all_rows[:n], options.repeats)
    ]
    result = {
        "machine": machine(gpu),
        "weights": options.weights or " ".join(["random:", *(options.shape or ("SigLIPBaseP16", "google_224"))]),
        "repeats": options.repeats,
        "load_s": load_s,
        "start": start,
        "rows": rows,
        "fidelity": fidelity(modes, *inputs.values()),
    }
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for row in [*start, *rows, *result["fidelity"]]:
        print(row)


if __name__ == "__main__":
    main()
