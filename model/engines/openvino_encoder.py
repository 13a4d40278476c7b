"""The inference face on OpenVINO, for the CPU: float32, TensorFlow's to its rounding, or int8, twice as fast by VNNI.

It shares all but the computing with its sister, and imports neither Keras nor TensorFlow: where a checkpoint's graphs
are in the cache, a start takes seconds, and the weights are in memory once.
"""

import json
import math
import mmap
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from model.config import CheckpointError
from model.engines import self_test
from model.engines.cpu import is_avx2_at_most, processors
from model.engines.encoder import CheckpointFiles, DeviceError, Encoder, EncoderInfo, in_parts, rows_at_once
from model.engines.openvino_cache import FACTS, GOLDEN, TOWERS, openvino_graphs
from model.processor import SigLIPProcessor

import openvino  # isort: skip  # after openvino_graphs, which keeps its telemetry out
import openvino.opset13 as ops  # isort: skip

# One caller at a time has all processors; and never bfloat16, which OpenVINO would choose by itself where there is any.
SETTINGS: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
DAMAGE = (OSError, RuntimeError, BadZipFile, EOFError, ValueError)  # OpenVINO raises a RuntimeError for any
# int8: what flows into a layer is quantised in groups of so many channels, each with a scale of its own.
# Larger groups are a little faster and farther from float32; benchmarks/fidelity.py has how far these are.
GROUP = 64
# On few processors a picture alone, in a graph of its fixed shape, takes the least time, and several one after the
# other no more than together (benchmarks/levers.py); of a small picture, several do take less. Many processors want
# more rows than one picture's; where that begins was not measured.
FEW_PROCESSORS, MANY_PATCHES = 4, 128


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
        one = info.dtype == "float32" and processors() <= FEW_PROCESSORS and facts["patches"] >= MANY_PATCHES
        self.images_at_once = 1 if one else rows_at_once(facts["patches"])
        self.texts_at_once = rows_at_once(info.context_length)
        with ThreadPoolExecutor(2) as pool:  # most of a compilation is one thread's work
            image = pool.submit(Tower, folder / TOWERS["image"], info.dtype, [1, *info.image_size, 3] if one else None)
            text = pool.submit(Tower, folder / TOWERS["text"], info.dtype)
        self.image_tower, self.text_tower = image.result(), text.result()

    @classmethod
    def place(cls, device: str, dtype: str) -> tuple[str, str]:
        """Returns the device's name and the towers' type, for what `load_encoder` was asked for.

        Raises:
            DeviceError: It is a GPU or bfloat16, or int8 where NNCF is not installed.
        """
        if device == "gpu" or dtype == "bfloat16":
            raise DeviceError("the engine openvino computes on the CPU: leave out device gpu and dtype bfloat16")
        if dtype == "int8" and not find_spec("nncf"):
            raise DeviceError("for dtype int8, NNCF is not installed: pip install -r requirements-openvino.txt")
        return "CPU", "float32" if dtype == "auto" else dtype

    @classmethod
    def load(
        cls, files: CheckpointFiles, processor: SigLIPProcessor, info: EncoderInfo, max_batch: int
    ) -> "OpenVINOEncoder":
        """Returns a checkpoint in the type that `info` says; the cache keeps its graphs.

        Raises:
            CheckpointError: It cannot be converted, or what the cache has of it is damaged.
        """
        with openvino_graphs(files, info.sha256, info.dtype) as folder:
            try:
                return cls(folder, processor, info, max_batch=max_batch)
            except DAMAGE as error:
                reason = " ".join(str(error).split())
                raise CheckpointError(f"{folder} cannot be used; delete it to have it made again: {reason}") from error

    def self_test(self) -> None:
        """Raises `SelfTestFailed` unless the embeddings are close enough to float32."""
        self_test.run(self, self.golden)
        for tower in (self.image_tower, self.text_tower):  # which have packed the weights as their kernels want them
            tower.leave_file()

    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity."""
        return self.names_not_finite

    def compute_images(self, images: np.ndarray) -> np.ndarray:
        """Returns what `encode_images` does."""
        return in_parts(self.image_tower, images, self.images_at_once)

    def compute_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns what `encode_texts` does."""
        return in_parts(self.text_tower, token_ids, self.texts_at_once)


class Tower:
    """A graph ready to compute, of any batch or of one shape alone.

    Args:
        path: The graph's description; its weights lie beside it.
        dtype: "float32" or "int8".
        shape: The one shape, or None.
    """

    def __init__(self, path: Path, dtype: str, shape: list[int] | None = None):
        with path.with_suffix(".bin").open("rb") as file:
            self.weights = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # OpenVINO wants what could be written
        stored = openvino.Tensor(np.frombuffer(self.weights, np.uint8), shared_memory=True)
        graph = openvino.Core().read_model(path.read_bytes(), stored)
        if shape:
            graph.reshape(shape)
        if dtype == "float32" and is_avx2_at_most():
            set_gelu_apart(graph)
        settings = SETTINGS | {"INFERENCE_NUM_THREADS": processors()}
        if dtype == "int8":
            settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = GROUP
        self.request = openvino.compile_model(graph, "CPU", settings).create_infer_request()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        """Returns the graph's answer, in memory of its own: OpenVINO writes the next one over this one."""
        return self.request.infer({0: batch})[0].copy()

    def leave_file(self) -> None:
        """Gives back the memory of what was read of the file; what is wanted again is read again."""
        if hasattr(mmap, "MADV_DONTNEED"):  # Windows has none
            self.weights.madvise(mmap.MADV_DONTNEED)


def set_gelu_apart(graph: openvino.Model) -> None:
    """Has each GELU computed apart from the product before it: as x sigmoid(2u), where GELU is 0.5x (1 + tanh(u)).

    OpenVINO computes what it knows as GELU together with its product, but then by oneDNN, which without AVX-512 takes
    longer than MLAS, its other library, for the product and GELU after it (benchmarks/levers.py).
    """
    for node in graph.get_ops():
        if node.get_type_name() == "Gelu":
            x = node.input_value(0)
            cubic = ops.multiply(ops.multiply(ops.multiply(x, x), x), np.float32(0.044715))
            u = ops.multiply(ops.add(x, cubic), np.float32(math.sqrt(2 / math.pi)))
            node.output(0).replace(ops.multiply(x, ops.sigmoid(ops.multiply(u, np.float32(2)))).output(0))
