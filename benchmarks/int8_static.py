"""Compares the int8 that the service uses with static quantisation by NNCF, in time and in accuracy.

    python -m benchmarks.int8_static DIRECTORY      writes benchmarks/results/int8_static.json; minutes on two cores

The service quantises weights ahead and activations while the graph runs. Static quantisation also fixes the scales of
activations ahead, from calibration images: those in `samples/`. DIRECTORY is a checkpoint whose image tower is timed;
random weights are as fast. Accuracy is measured with the embedded checkpoint, on the images that it was not trained on
(`python -m training.prepare` makes them). All ways run in one process, in a new random order in each round.
"""

import json
import logging
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nncf
import numpy as np
import openvino
from nncf.quantization.advanced_parameters import AdvancedSmoothQuantParameters
from nncf.quantization.range_estimator import RangeEstimatorParametersSet
from PIL import Image

from benchmarks.fidelity import held_out
from benchmarks.machine import machine, result_file, spread, versions
from model.checkpoint.hf_config import read_config
from model.checkpoint.safetensors_files import fingerprint
from model.engines.encoder import CheckpointFiles
from model.engines.openvino_cache import TOWERS, openvino_graphs
from model.engines.openvino_convert import quantised
from model.engines.openvino_encoder import GROUP, SETTINGS
from model.preprocess import Preprocessor
from model.published import EMBEDDED, EMBEDDED_DIRECTORY

ROUNDS = 15
SAMPLES = Path(__file__).parent.parent / "samples"
MLP, ATTENTION, HEAD, PATCHES = ".*/mlp_1/.*", ".*/attention_1/.*", ".*/head_1/.*", "Convolution.*"
Way = Callable[[openvino.Model, nncf.Dataset], openvino.Model]


def static(graph: openvino.Model, images: nncf.Dataset, ignored: list[str], **options: Any) -> openvino.Model:
    """Returns a graph with static int8, after SmoothQuant, except in the layers whose names match `ignored`."""
    scope = nncf.IgnoredScope(patterns=ignored, validate=False)
    return nncf.quantize(graph, images, model_type=nncf.ModelType.TRANSFORMER, ignored_scope=scope, **options)


def rest_as_served(graph: openvino.Model, ignored: list[str]) -> openvino.Model:
    """Returns a graph with the service's int8 in all layers but those whose names match `ignored`."""
    scope = nncf.IgnoredScope(patterns=ignored, validate=False)
    return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_SYM, ignored_scope=scope)


def cautious(graph: openvino.Model, images: nncf.Dataset) -> openvino.Model:
    """Returns a graph with static int8 in the blocks' MLPs, whose activations have the widest range that was seen."""
    widest = RangeEstimatorParametersSet.MINMAX
    options = nncf.AdvancedQuantizationParameters(
        disable_bias_correction=True,  # six images and their reflections are few for a mean
        activations_range_estimator_params=widest,
        smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=0.5),
    )
    graph = static(graph, images, [ATTENTION, HEAD, PATCHES], subset_size=48, advanced_parameters=options)
    return rest_as_served(graph, [".*/block_.*/mlp_1/.*"])


WAYS: dict[str, Way] = {
    "float32": lambda graph, images: graph,
    "int8, as served": lambda graph, images: quantised(graph),
    "all layers static, by NNCF": lambda graph, images: static(graph, images, []),
    "MLPs static with SmoothQuant, the rest as served": lambda graph, images: rest_as_served(
        static(graph, images, [ATTENTION, PATCHES]), [MLP]
    ),
    "the same, with wider ranges and a dynamic head": cautious,
}


def eight_ways(image: np.ndarray) -> list[np.ndarray]:
    """Returns a square image in its eight orientations."""
    return [np.rot90(each, turns) for each in (image, image[:, ::-1]) for turns in range(4)]


def towers(directory: Path, cache: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Returns a checkpoint's image tower in each way."""
    found = {}
    with openvino_graphs(CheckpointFiles(directory, cache, print), fingerprint(directory), "float32") as folder:
        for name, way in WAYS.items():
            graph = openvino.Core().read_model(folder / TOWERS["image"])
            side = graph.input().get_partial_shape()[1].get_length()
            prepare = Preprocessor((side, side))
            samples = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(SAMPLES.glob("*.png"))]
            pixels = [turned for sample in samples for turned in eight_ways(prepare(sample))]
            graph = way(graph, nncf.Dataset([image[None] for image in pixels]))
            settings = SETTINGS | ({} if name == "float32" else {"DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP})
            request = openvino.compile_model(graph, "CPU", settings).create_infer_request()
            found[name] = lambda batch, request=request: request.infer({0: batch})[0].copy()
    return found


def accuracy(cache: Path) -> dict[str, dict[str, float]]:
    """Returns the mean and the lowest cosine to float32 of each way, with the embedded checkpoint."""
    embeds = towers(EMBEDDED_DIRECTORY / EMBEDDED[1], cache)
    images = held_out(64).images
    rows = {
        name: np.concatenate([embed(part) for part in np.array_split(images, 40)]) for name, embed in embeds.items()
    }
    cosines = {name: (found.astype(float) * rows["float32"]).sum(axis=-1) for name, found in rows.items()}
    return {
        name: {"cosine_mean": float(each.mean()), "cosine_worst": float(each.min())} for name, each in cosines.items()
    }


def times(directory: Path, batch: int, cache: Path) -> dict[str, dict[str, Any]]:
    """Returns each way's time relative to float32, and its lowest cosine to float32, for one batch of noise."""
    embeds = towers(directory, cache)
    side = read_config(directory).vision.image_size[0]
    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)
    found = {name: embed(images) for name, embed in embeds.items()}
    taken: dict[str, list[float]] = {name: [] for name in embeds}
    order = random.Random(0)
    for _ in range(ROUNDS):
        for name in order.sample(list(embeds), len(embeds)):
            began_s = time.perf_counter()
            embeds[name](images)
            taken[name].append(time.perf_counter() - began_s)
            time.sleep(0.05)  # thread pools spin for a while after their work
    rows = {}
    for name in embeds:
        cosine = float((found[name] * found["float32"]).sum(axis=-1).min())
        ratios = [one / exact for one, exact in zip(taken[name], taken["float32"], strict=True)]
        rows[name] = {f"batch_{batch}": spread(ratios), f"batch_{batch}_cosine_worst": round(cosine, 6)}
    return rows


def main(directory: str) -> None:
    """Measures, prints and saves."""
    nncf.set_log_level(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        rows = accuracy(Path(folder))
        for batch in (1, 8):
            for name, row in times(Path(directory), batch, Path(folder)).items():
                rows[name] |= row
    for name, row in rows.items():
        print(name, row)
    found = {"machine": machine(), "versions": versions("openvino", "nncf"), "rows": rows}
    result_file("int8_static").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
