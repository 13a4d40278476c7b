"""The encoder on TensorFlow, for GPUs and CPUs. The only file that imports TensorFlow.

Each tower is traced once, for any batch size, before the first request: `Model.predict` in a loop leaks memory. On a
GPU, XLA compiles every batch size separately, which would delay the first request of a new size. So there batches are
padded to a few sizes, which the warm-up compiles. On a CPU nothing is padded.
"""

import math
import os
from contextlib import suppress

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever the environment or a keras.json says; Keras reads it once
import keras
import numpy as np
import tensorflow as tf

from model.checkpoint.hf_config import read_config
from model.checkpoint.tensor_table import tensor_table
from model.checkpoint.weights import model_from_checkpoint
from model.config import EncoderInfo
from model.engines import self_test
from model.engines.encoder import CheckpointFiles, DeviceError, Encoder, in_parts, rows_at_once
from model.engines.machine import available_cpus
from model.network.siglip import SigLIP
from model.processor import SigLIPProcessor


class TensorFlowEncoder(Encoder):
    """A loaded SigLIP.

    Args:
        model: The network with its weights.
        processor: The checkpoint's processor.
        info: The facts about the checkpoint.
        max_batch: The largest batch.
        compile_xla: True on a GPU: XLA compiles the towers for `max_batch` and the powers of two below it, and batches
            are padded to the next of these sizes.
    """

    def __init__(
        self, model: SigLIP, processor: SigLIPProcessor, info: EncoderInfo, *, max_batch: int, compile_xla: bool
    ):
        scale, bias = float(np.exp(model.logit_scale.numpy())), float(model.logit_bias.numpy())
        super().__init__(processor, info, scale=scale, bias=bias, max_batch=max_batch)
        self.model = model
        self.patches = info.max_num_patches or math.prod(model.config.vision.grid)
        self.compiled_sizes = batch_sizes(max_batch) if compile_xla else []
        images = tf.TensorSpec((None, *processor.preprocessor.shape), tf.uint8)
        token_ids = tf.TensorSpec((None, info.context_length), tf.int32)
        self.image_tower = tf.function(model.encode_images, [images], jit_compile=compile_xla)
        self.text_tower = tf.function(model.encode_texts, [token_ids], jit_compile=compile_xla)

    @classmethod
    def place(cls, device: str, dtype: str) -> tuple[str, str]:
        """Returns the device's name and the towers' dtype.

        Raises:
            DeviceError: A GPU was requested and TensorFlow sees none, the dtype is int8, or is tf32 and no GPU has it,
                or Keras has another backend.
        """
        if (backend := keras.backend.backend()) != "tensorflow":
            raise DeviceError(f"Keras was imported with the backend {backend}: set KERAS_BACKEND=tensorflow before")
        if dtype == "int8":
            raise DeviceError("dtype int8 needs the engine openvino, which runs on the CPU only")
        gpu = choose_gpu(device)
        if gpu is None and "TF_NUM_INTRAOP_THREADS" not in os.environ:  # the user's own choice
            with suppress(RuntimeError):  # TensorFlow has started its threads already
                tf.config.threading.set_intra_op_parallelism_threads(available_cpus())
        if dtype == "tf32" and not (gpu and has_tf32(gpu)):
            raise DeviceError("dtype tf32 needs an NVIDIA GPU of compute capability 8.0 (Ampere) or later: use float32")
        if dtype == "auto":
            dtype = "tf32" if gpu and has_tf32(gpu) else "float32"
        return describe_gpu(gpu) if gpu else "CPU", dtype

    @classmethod
    def load(
        cls, files: CheckpointFiles, processor: SigLIPProcessor, info: EncoderInfo, max_batch: int
    ) -> "TensorFlowEncoder":
        """Returns the checkpoint on the device and in the dtype of `info`."""
        policy = "float32" if info.dtype == "tf32" else info.dtype
        model = model_from_checkpoint(read_config(files.directory), files.directory, policy)
        return cls(model, processor, info, max_batch=max_batch, compile_xla=info.device != "CPU")

    def warm_up(self) -> None:
        """Traces both towers, and runs them once at every compiled size."""
        for size in self.compiled_sizes or [1]:
            self.encode_images(np.zeros((size, *self.preprocessor.shape), np.uint8))
            self.encode_texts(np.ones((size, self.info.context_length), np.int32))

    def self_test(self) -> None:
        """Raises `SelfTestFailed` if the loaded checkpoint gives wrong embeddings."""
        self_test.run(self)

    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity.

        A sum is not finite if a number is not, and it needs no memory: 0.1 s for the base model's 203 million numbers.
        """
        table = tensor_table(self.model).items()
        return [name for name, slot in table if not np.isfinite(sum(float(tf.reduce_sum(v)) for v in slot.variables))]

    def compute_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings; see `Encoder.encode_images`."""
        return self.compute(self.image_tower, images, self.patches)

    def compute_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings; see `Encoder.encode_texts`."""
        return self.compute(self.text_tower, token_ids, self.info.context_length)

    def compute(
        self, tower: tf.types.experimental.PolymorphicFunction, batch: np.ndarray, positions: int
    ) -> np.ndarray:
        """Returns a tower's output for a batch.

        Args:
            tower: The image or the text tower.
            batch: Its input.
            positions: The patches or tokens of one row.
        """
        if not self.compiled_sizes:
            return in_parts(lambda part: tower(tf.constant(part)).numpy(), batch, rows_at_once(positions))
        # TensorFlow's switch is on at first, and belongs to the whole process. XLA reads it when it compiles a size.
        tf.config.experimental.enable_tensor_float_32_execution(self.info.dtype != "float32")
        size = next(size for size in self.compiled_sizes if size >= len(batch))
        filled = np.zeros((size, *batch.shape[1:]), batch.dtype)
        filled[: len(batch)] = batch
        # uint8 images are a quarter of float32's bytes; TensorFlow copies them to the GPU through its pinned memory.
        return tower(tf.constant(filled)).numpy()[: len(batch)]


def batch_sizes(max_batch: int) -> list[int]:
    """Returns the powers of two below `max_batch`, and `max_batch`."""
    return [2**i for i in range((max_batch - 1).bit_length())] + [max_batch]


def choose_gpu(device: str) -> "tf.config.PhysicalDevice | None":
    """Returns the GPU to use, with its memory set to grow as needed, or None for the CPU.

    Raises:
        DeviceError: "gpu" was requested and TensorFlow sees none.
        ValueError: `device` is not one of auto, gpu, cpu.
    """
    if device not in ("auto", "gpu", "cpu"):
        raise ValueError(f"device must be auto, gpu or cpu. Received: {device!r}")
    gpus = list_gpus()
    if device == "gpu" and not gpus:
        raise DeviceError(
            "device is gpu, but TensorFlow sees no GPU: install requirements-gpu.txt, and check `nvidia-smi`"
        )
    if device == "cpu" or not gpus:
        tf.config.set_visible_devices([], "GPU")
        return None
    tf.config.set_visible_devices(gpus[0], "GPU")
    # By default TensorFlow takes all of the GPU's memory at once.
    tf.config.experimental.set_memory_growth(gpus[0], True)
    return gpus[0]


def list_gpus() -> list["tf.config.PhysicalDevice"]:
    """Returns the GPUs that TensorFlow can use."""
    gpus: list[tf.config.PhysicalDevice] = tf.config.list_physical_devices("GPU")
    return gpus


def has_tf32(gpu: "tf.config.PhysicalDevice") -> bool:
    """Returns whether the GPU computes float32 products as TF32 (Ampere, compute capability 8.0, or later)."""
    return tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0)) >= (8, 0)


def describe_gpu(gpu: "tf.config.PhysicalDevice") -> str:
    """Returns the GPU's product name."""
    return f"GPU ({tf.config.experimental.get_device_details(gpu).get('device_name', gpu.name)})"
