"""Compares the image tower's speed in our engines with other fast engines, and with the limit of the CPU.

    python -m benchmarks.towers DIRECTORY [BATCH...]     writes benchmarks/results/towers.json, on a CPU without VNNI
                                                         towers_without_vnni.json; a few minutes
    python -m benchmarks.towers --naflex FOLDER          compares NaFlex with its fixed-resolution sibling, and writes
                                                         benchmarks/results/naflex.json; eight minutes. A second run
                                                         finds checkpoints and graphs, 3 GB, in FOLDER

DIRECTORY is a Hugging Face checkpoint of SigLIP; without real weights, `python -m benchmarks.random_checkpoint` makes
one of the same size. Needs requirements-peers.txt. All contenders run in one process and embed the same images; each
round runs them in a new random order. Each must agree with the reference, int8 less closely. The other engine's int8 is
calibrated with the images that are timed. The limit is the tower's multiply-adds divided by the rate of a large float32
matrix product. For NaFlex see `benchmarks.naflex_towers`.
"""

import json
import logging
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nncf
import numpy as np
import onnxruntime
import openvino
import torch
from transformers import SiglipVisionModel

from benchmarks.limit import image_multiply_adds
from benchmarks.machine import machine, result_file, versions
from model.checkpoint.hf_config import read_config
from model.engines.encoder import Encoder
from model.engines.load import load_encoder

ROUNDS, SIDE = 15, 4096
OURS = {
    "TensorFlow": ("tensorflow", "float32"),
    "OpenVINO": ("openvino", "float32"),
    "OpenVINO, int8": ("openvino", "int8"),
}
COSINE, COSINE_INT8 = 0.99999, 0.97  # with the reference, at least; in float32 all compute the same
Embed = Callable[[], np.ndarray]


class Reference(torch.nn.Module):
    """Hugging Face's image tower: pixels [B, 3, S, S] in [-1, 1] to embeddings [B, E]."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self.tower = SiglipVisionModel.from_pretrained(directory).eval()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        pooled = self.tower(pixels).pooler_output
        return pooled / pooled.norm(dim=-1, keepdim=True)


def loaded(directory: Path | str, name: str, cache: Path, **options: int) -> Encoder:
    """Returns a checkpoint in one of OURS."""
    engine, dtype = OURS[name]
    return load_encoder(weights=str(directory), device="cpu", engine=engine, dtype=dtype, engine_cache=cache, **options)


def contenders(directory: str, images: np.ndarray, folder: str) -> dict[str, Embed]:
    """Returns a function per engine that embeds the images, [B, S, S, 3] uint8; other engines get them as pixels."""
    pixels = torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2).contiguous()
    ours = {name: loaded(directory, name, Path(folder) / "engine", max_batch=len(images)) for name in OURS}
    reference = Reference(directory)
    compiled = torch.compile(reference)
    file = Path(folder) / f"{len(images)}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(reference, (pixels,), file, input_names=["pixels"], dynamo=False)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    graph = openvino.convert_model(file)

    def openvino_on(graph: openvino.Model) -> Embed:
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        request = openvino.compile_model(graph, "CPU", settings).create_infer_request()
        return lambda: np.array(request.infer({0: pixels.numpy()})[0])

    return {
        **{f"this service, {name}": partial(encoder.encode_images, images) for name, encoder in ours.items()},
        "OpenVINO on Hugging Face's ONNX": openvino_on(graph),
        "OpenVINO on Hugging Face's ONNX, int8 by NNCF": openvino_on(calibrated(graph, pixels.numpy())),
        "ONNX Runtime on Hugging Face's ONNX": lambda: session.run(None, {"pixels": pixels.numpy()})[0],
        "PyTorch, compiled": lambda: compiled(pixels).numpy(),
        "PyTorch": lambda: reference(pixels).numpy(),
    }


def calibrated(graph: openvino.Model, pixels: np.ndarray) -> openvino.Model:
    """Returns a graph quantised by NNCF, as its guide recommends for transformers."""
    nncf.set_log_level(logging.ERROR)
    return nncf.quantize(graph.clone(), nncf.Dataset([pixels]), model_type=nncf.ModelType.TRANSFORMER)


@contextmanager
def timed(times: list[float]) -> Iterator[None]:
    """Appends the time that the block takes, in seconds."""
    began_s = time.perf_counter()
    yield
    times.append(time.perf_counter() - began_s)


def measure(directory: str, batch: int, folder: str) -> list[dict]:
    """Returns one row per contender, for one batch size."""
    size = json.loads((Path(directory) / "config.json").read_text())["vision_config"].get("image_size", 224)
    images = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    embeds = contenders(directory, images, folder)
    expected = embeds["PyTorch"]()
    cosines = {name: float((embed() * expected).sum(axis=-1).min()) for name, embed in embeds.items()}
    if any(cosine < (COSINE_INT8 if "int8" in name else COSINE) for name, cosine in cosines.items()):
        sys.exit(f"not the same embeddings: {cosines}")
    matrix = torch.rand(SIDE, SIDE)
    matrix @ matrix
    times: dict[str, list[float]] = {name: [] for name in embeds}
    products: list[float] = []
    order = random.Random(0)
    for _ in range(ROUNDS):
        for name in order.sample(list(embeds), len(embeds)):
            with timed(times[name]):
                embeds[name]()
            time.sleep(0.05)  # thread pools spin for a while after their work, which would slow down the next one
        with timed(products):
            matrix @ matrix
        print(".", end="", file=sys.stderr, flush=True)
    limit_s = statistics.median(products) / SIDE**3 * image_multiply_adds(read_config(Path(directory)).vision) * batch
    rows = [
        {"engine": name, "batch": batch, **spread(taken, batch), "cosine_worst": round(cosines[name], 6)}
        for name, taken in times.items()
    ]
    return [*rows, {"engine": "limit", "batch": batch, "median_ms": round(limit_s / batch * 1000, 1)}]


def spread(taken: list[float], batch: int) -> dict[str, float]:
    """Returns the quartiles of the time per image, in milliseconds."""
    low, median, high = (round(quartile / batch * 1000, 1) for quartile in statistics.quantiles(taken, n=4))
    return {"low_ms": low, "median_ms": median, "high_ms": high}


def main() -> None:
    """Measures, prints and saves."""
    if sys.argv[1] == "--naflex":
        from benchmarks import naflex_towers  # which imports this module

        naflex_towers.main(Path(sys.argv[2]))
        return
    directory, batches = sys.argv[1], [int(batch) for batch in sys.argv[2:]] or [1, 8]
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for batch in batches for row in measure(directory, batch, folder)]
    found = {
        "machine": machine(),
        "versions": versions("tensorflow", "openvino", "nncf", "onnxruntime", "torch"),
        "rows": rows,
    }
    result_file("towers").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
