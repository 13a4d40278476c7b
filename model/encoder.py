"""The inference face: a checkpoint on a device, NumPy in, NumPy out. The only file that imports TensorFlow.

What is traced is traced before the first request: `Model.predict` in a loop leaks, and a new shape would stall its
caller by a compilation. XLA, on a GPU, compiles a size at a time, so batches are padded there to a few; on a CPU one
trace takes any size, and nothing is computed for padding. One thread at a time may encode; preparing is thread-safe.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from model import self_test
from model.config import EMBEDDED, CheckpointError, choose_weights, variant_of
from model.hub import checkpoint_directory
from model.preprocess import resize
from model.processor import SigLIPProcessor
from model.siglip import SigLIP
from model.tensor_table import tensor_table
from model.variants import load_model
from model.weights import fingerprint


@dataclass(frozen=True, kw_only=True)
class EncoderInfo:
    """What is loaded and how it treats its input; plain values, for `/info` and the log."""

    variant: str
    weights: str
    revision: str | None
    sha256: str
    image_size: tuple[int, int]
    context_length: int
    embed_dim: int
    vocab_size: int
    dtype: str
    device: str
    engine: str
    preprocessing: str
    canonicalisation: str
    demonstration: bool


def load_encoder(
    variant: str | None = None,
    weights: str | None = None,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    engine: str = "tensorflow",
    max_batch: int = 32,
    on_stage: Callable[[str], None] | None = None,
) -> "Encoder":
    """Returns a checkpoint on its device, not yet warm.

    Args:
        variant: A name of `VARIANTS`, or None.
        weights: A published name, a directory, a hub id, or None; see `choose_weights`.
        revision: The hub commit, branch or tag.
        device: "auto" (the first GPU, else the CPU), "gpu" or "cpu".
        dtype: "auto" (bfloat16 on a GPU that has it, else float32), "float32" or "bfloat16".
        engine: "tensorflow", or "openvino", which is for the CPU and float32 alone.
        max_batch: The largest batch that the two towers take at once.
        on_stage: Called with what is being done, "downloading 37 %" or "loading"; None draws a progress bar.

    Raises:
        CheckpointError: The checkpoint is unknown, unreachable, incomplete or of another architecture.
        DeviceError: A GPU was asked for and TensorFlow sees none, or the engine cannot do what was asked for.
    """
    names = choose_weights(variant, weights)
    check_engine(engine, device, dtype)
    gpu = choose_gpu("cpu" if engine == "openvino" else device)
    if dtype == "auto":
        dtype = "bfloat16" if gpu and has_bfloat16(gpu) else "float32"
    directory = checkpoint_directory(variant, weights, revision=revision, on_stage=on_stage)
    if on_stage:
        on_stage("loading")
    processor = SigLIPProcessor(weights=directory)  # first: what is refused for its small files, is so at once
    # By its directory, so that the published hashes are not compared twice.
    model = load_model(names[0] if names else variant, str(directory), dtype=dtype)
    vision, text = model.config.vision, model.config.text
    info = EncoderInfo(
        variant=names[0] if names else variant_of(model.config, processor.tokenizer.rules.generation) or "custom",
        weights=names[1] if names else Path(str(weights)).name if Path(str(weights)).is_dir() else str(weights),
        revision=revision,
        sha256=fingerprint(directory),
        image_size=vision.image_size,
        context_length=text.context_length,
        embed_dim=model.config.embed_dim,
        vocab_size=text.vocab_size,
        dtype=dtype,
        device=describe_gpu(gpu) if gpu else "CPU",
        engine=engine,
        preprocessing=processor.preprocessing,
        canonicalisation=processor.tokenizer.canonicalisation,
        demonstration=names == EMBEDDED,
    )
    if engine == "openvino":
        from model.openvino_encoder import OpenVINOEncoder  # here, for it needs a package of its own

        return OpenVINOEncoder(model, processor, info, max_batch=max_batch)
    return Encoder(model, processor, info, max_batch=max_batch, compile_xla=gpu is not None)


class Encoder:
    """A loaded SigLIP, as the service sees it.

    Args:
        model: With its weights.
        processor: Of the same checkpoint.
        info: What to say about it.
        max_batch: The largest batch.
        compile_xla: Whether the towers are compiled by XLA, as they are on a GPU, for the powers of two up to
            `max_batch`, to which smaller batches are padded.
    """

    def __init__(
        self, model: SigLIP, processor: SigLIPProcessor, info: EncoderInfo, *, max_batch: int, compile_xla: bool
    ):
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1. Received: {max_batch}")
        self.info = info
        self.processor = processor
        self.scale = float(np.exp(model.logit_scale.numpy()))
        self.bias = float(model.logit_bias.numpy())
        self.model = model
        self.max_batch = max_batch
        # None is any size: the batch is not padded, and one trace will do.
        self.batch_sizes = batch_sizes(max_batch) if compile_xla else [None]
        self.image_tower = tf.function(model.encode_images, jit_compile=compile_xla)
        self.text_tower = tf.function(model.encode_texts, jit_compile=compile_xla)

    def warm_up(self) -> None:
        """Traces, compiles and runs both towers once at every batch size."""
        for size in (size or 1 for size in self.batch_sizes):
            self.encode_images(np.zeros((size, *self.info.image_size, 3), np.uint8))
            self.encode_texts(np.ones((size, self.info.context_length), np.int32))

    def self_test(self) -> None:
        """Raises `model.self_test.SelfTestFailed` unless the checkpoint does what it must."""
        self_test.run(self)

    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity.

        A sum carries either along and needs no memory: 0.1 s for the base model's 203 million numbers on two cores.
        """
        table = tensor_table(self.model).items()
        return [name for name, slot in table if not np.isfinite(sum(float(tf.reduce_sum(v)) for v in slot.variables))]

    def prepare_image(self, rgb: np.ndarray) -> np.ndarray:
        """Returns the image at the tower's size, [S, S, 3] uint8, from [H, W, 3] uint8."""
        return resize(rgb, self.info.image_size, self.processor.resample)

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """Returns token ids, [K, L] int32."""
        return self.processor.tokenizer(texts)

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings, [B, E] float32, L2-normalised, from [B, S, S, 3] uint8; 1 <= B <= max_batch."""
        return self.encode(self.image_tower, images)

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings, [B, E] float32, L2-normalised, from [B, L] int32; 1 <= B <= max_batch."""
        return self.encode(self.text_tower, token_ids)

    def encode(self, tower: tf.types.experimental.PolymorphicFunction, batch: np.ndarray) -> np.ndarray:
        """Returns the tower's answer for a batch, padded with zeros where only some sizes are compiled."""
        self.check_rows(batch)
        size = next(size for size in self.batch_sizes if size is None or size >= len(batch))
        traced = self.traced(tower, (size, *batch.shape[1:]), batch.dtype)
        filled = batch
        if size and size > len(batch):
            filled = np.zeros((size, *batch.shape[1:]), batch.dtype)
            filled[: len(batch)] = batch
        return traced(tf.constant(filled)).numpy()[: len(batch)]

    def traced(
        self, tower: tf.types.experimental.PolymorphicFunction, shape: tuple[int | None, ...], dtype: npt.DTypeLike
    ) -> tf.types.experimental.ConcreteFunction:
        """Returns the tower for batches of a shape; None is any size.

        Asked for by its shape: many shapes through one call are taken for a mistake and warned of.
        """
        return tower.get_concrete_function(tf.TensorSpec(shape, dtype))

    def check_rows(self, batch: np.ndarray) -> None:
        """Raises ValueError unless a batch has as many rows as may be computed at once."""
        if not 1 <= len(batch) <= self.max_batch:
            raise ValueError(f"a batch must have 1 to {self.max_batch} rows. Received: {len(batch)}")


class DeviceError(CheckpointError):
    """The device that was asked for is not there, or the engine cannot do what was asked for."""


def check_engine(engine: str, device: str, dtype: str) -> None:
    """Refuses an engine that is unknown, not installed, or not for this device and type.

    Raises:
        DeviceError: The engine is OpenVINO, and it is not installed, or is asked for what only TensorFlow does.
        ValueError: `engine` is not one of tensorflow, openvino.
    """
    if engine not in ("tensorflow", "openvino"):
        raise ValueError(f"engine must be tensorflow or openvino. Received: {engine!r}")
    if engine == "tensorflow":
        return
    if device == "gpu" or dtype == "bfloat16":
        raise DeviceError("the engine openvino computes on the CPU in float32: leave out device gpu and dtype bfloat16")
    if not find_spec("openvino"):
        raise DeviceError("the engine openvino is not installed: pip install -r requirements-openvino.txt")


def batch_sizes(max_batch: int) -> list[int]:
    """Returns the powers of two below `max_batch`, and itself."""
    return [2**i for i in range((max_batch - 1).bit_length())] + [max_batch]


def choose_gpu(device: str) -> "tf.config.PhysicalDevice | None":
    """Returns the GPU to use, its memory set to grow as needed, or None for the CPU.

    Raises:
        DeviceError: "gpu" was asked for and TensorFlow sees none.
        ValueError: `device` is not one of auto, gpu, cpu.
    """
    if device not in ("auto", "gpu", "cpu"):
        raise ValueError(f"device must be auto, gpu or cpu. Received: {device!r}")
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise DeviceError(
            "device is gpu, but TensorFlow sees no GPU: install requirements-gpu.txt, and check `nvidia-smi`"
        )
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return None
    tf.config.set_visible_devices(gpus[0], "GPU")
    # TensorFlow otherwise takes all of the GPU's memory at once.
    tf.config.experimental.set_memory_growth(gpus[0], True)
    return gpus[0]


def has_bfloat16(gpu: "tf.config.PhysicalDevice") -> bool:
    """Returns whether the GPU computes in bfloat16 (Ampere, compute capability 8.0, or later)."""
    return tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= (8, 0)


def describe_gpu(gpu: "tf.config.PhysicalDevice") -> str:
    """Returns the GPU's product name."""
    return f"GPU ({tf.config.experimental.get_device_details(gpu).get('device_name', gpu.name)})"
