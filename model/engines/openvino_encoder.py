"""The encoder on OpenVINO, for the CPU: float32, equal to TensorFlow's up to rounding, or int8, faster with VNNI.

It imports neither Keras nor TensorFlow: a start from cached graphs takes seconds, and the weights are in memory once.
"""

import json
import math
import mmap
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from model.config import EncoderInfo
from model.engines import self_test
from model.engines.encoder import CheckpointFiles, DeviceError, Encoder, GraphsUnavailable, in_parts, rows_at_once
from model.engines.machine import available_cpus, has_avx2_only
from model.engines.openvino_cache import FACTS, GOLDEN, TOWERS, openvino_graphs
from model.processor import SigLIPProcessor

import openvino  # isort: skip  # after openvino_cache, which turns its telemetry off
import openvino.opset13 as ops  # isort: skip

# One caller at a time uses all CPUs. Without the precision hint OpenVINO computes in bfloat16 on CPUs that support it.
SETTINGS: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
DAMAGE = (OSError, RuntimeError, BadZipFile, EOFError, ValueError)  # OpenVINO raises a RuntimeError for any
# int8: a layer's activations are quantised in groups of this many channels, with one scale per group. Larger groups are
# slightly faster and less accurate; benchmarks/fidelity.py measures how accurate these are.
GROUP = 64
# On few CPUs, images one after the other in a graph of fixed shape take no longer than a batch, and a single image is
# fastest so (benchmarks/levers.py). Small images are faster in a batch. Many CPUs need larger batches; where that
# begins was not measured.
FEW_CPUS, MANY_PATCHES = 4, 128


class OpenVINOEncoder(Encoder):
    """A loaded SigLIP, as the service sees it.

    Args:
        folder: The checkpoint's graphs, of `model.engines.openvino_cache`. Files in it stay mapped; it may be deleted.
        processor: Of the same checkpoint.
        info: What to say about it.
        max_batch: The largest batch.
    """

    def __init__(self, folder: Path, processor: SigLIPProcessor, info: EncoderInfo, *, max_batch: int):
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        super().__init__(processor, info, scale=facts["scale"], bias=facts["bias"], max_batch=max_batch)
        self.names_not_finite: list[str] = facts["not_finite"]
        with (folder / GOLDEN).open("rb") as file, np.load(file) as golden:
            self.golden = dict(golden)
        one = info.dtype == "float32" and available_cpus() <= FEW_CPUS and facts["patches"] >= MANY_PATCHES
        self.images_at_once = 1 if one else rows_at_once(facts["patches"])
        self.texts_at_once = rows_at_once(info.context_length)
        shape = [1, *self.preprocessor.shape] if one else None
        with ThreadPoolExecutor(2) as pool:  # most of a compilation uses one thread
            image = pool.submit(Tower, folder / TOWERS["image"], info.dtype, shape)
            text = pool.submit(Tower, folder / TOWERS["text"], info.dtype)
        self.image_tower, self.text_tower = image.result(), text.result()

    @classmethod
    def place(cls, device: str, dtype: str) -> tuple[str, str]:
        """Returns the device's name and the towers' dtype.

        Raises:
            DeviceError: A GPU or another dtype was requested, or int8 and NNCF is not installed.
        """
        if device == "gpu" or dtype not in ("auto", "float32", "int8"):
            raise DeviceError(
                f"the engine openvino runs on the CPU only, in float32 or int8. Received: {device}, {dtype}"
            )
        if dtype == "int8" and not find_spec("nncf"):
            raise DeviceError("for dtype int8, NNCF is not installed: pip install -r requirements-openvino.txt")
        return "CPU", "float32" if dtype == "auto" else dtype

    @classmethod
    def load(
        cls, files: CheckpointFiles, processor: SigLIPProcessor, info: EncoderInfo, max_batch: int
    ) -> "OpenVINOEncoder":
        """Returns the checkpoint in the dtype of `info`; the cache keeps its graphs.

        Raises:
            CheckpointError: It is refused.
            GraphsUnavailable: Its graphs cannot be made, or the cached ones are damaged.
        """
        with openvino_graphs(files, info.sha256, info.dtype) as folder:
            try:
                return cls(folder, processor, info, max_batch=max_batch)
            except DAMAGE as error:
                reason = " ".join(str(error).split())
                raise GraphsUnavailable(
                    f"{folder} is damaged; delete it, so that it is made again: {reason}"
                ) from error

    def warm_up(self) -> None:
        """Does nothing: the graphs were compiled by `load`."""

    def self_test(self) -> None:
        """Raises `SelfTestFailed` if the embeddings are wrong, or too far from TensorFlow's in float32."""
        self_test.run(self, self.golden)
        for tower in (
            self.image_tower,
            self.text_tower,
        ):  # the kernels have packed the weights by now
            tower.release_pages()

    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity."""
        return self.names_not_finite

    def compute_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings; see `Encoder.encode_images`."""
        return in_parts(self.image_tower, images, self.images_at_once)

    def compute_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings; see `Encoder.encode_texts`."""
        return in_parts(self.text_tower, token_ids, self.texts_at_once)


class Tower:
    """A compiled graph for any batch size, or for one input shape.

    Args:
        path: The graph's XML file; its weights are in the `.bin` file of the same name.
        dtype: "float32" or "int8".
        shape: The only input shape, or None for any batch size.
    """

    def __init__(self, path: Path, dtype: str, shape: list[int] | None = None):
        with path.with_suffix(".bin").open("rb") as file:
            self.weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # OpenVINO requires a writable buffer
        stored = openvino.Tensor(np.frombuffer(self.weights, np.uint8), shared_memory=True)
        graph = openvino.Core().read_model(path.read_bytes(), stored)
        if shape:
            graph.reshape(shape)
        if dtype == "float32" and has_avx2_only():
            unfuse_gelu(graph)
        settings = SETTINGS | {"INFERENCE_NUM_THREADS": available_cpus()}
        if dtype == "int8":
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = GROUP
        self.request = openvino.compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Returns a copy of the graph's output: OpenVINO reuses the buffer for the next call."""
        return self.request.infer({0: batch})[0].copy()

    def release_pages(self) -> None:
        """Releases the memory of the mapped weights; pages that are needed again are read from the file again."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            self.weights.madvise(mmap.MADV_DONTNEED)


def unfuse_gelu(graph: openvino.Model) -> None:
    """Rewrites each GELU, 0.5x (1 + tanh(u)), as x sigmoid(2u), so that OpenVINO does not fuse it with its MatMul.

    OpenVINO computes a fused MatMul with oneDNN, which without AVX-512 is slower than its other library, MLAS, followed
    by a separate GELU (benchmarks/levers.py).
    """
    for node in graph.get_ops():
        if node.get_type_name() == "Gelu":
            x = node.input_value(0)
            cubic = ops.multiply(ops.multiply(ops.multiply(x, x), x), np.float32(0.044715))
            u = ops.multiply(ops.add(x, cubic), np.float32(math.sqrt(2 / math.pi)))
            node.output(0).replace(ops.multiply(x, ops.sigmoid(ops.multiply(u, np.float32(2)))).output(0))
