"""The inference face: a checkpoint on a device, NumPy in, NumPy out. What its engines share, and how one is loaded.

The engines are `model.engines.tensorflow_encoder` and `model.engines.openvino_encoder`; each alone imports its library.
One thread at a time may encode; preparing is thread-safe.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.checkpoint.hf_config import read_config_of
from model.checkpoint.hub import checkpoint_directory
from model.checkpoint.safetensors_files import fingerprint
from model.config import EMBEDDED, CheckpointError, choose_weights, variant_of
from model.engines import self_test
from model.preprocess import ImageLike, resize
from model.processor import SigLIPProcessor

# Positions, patches or tokens, that a CPU computes at once: five pictures of the base model, or 16 texts. More rows
# take more memory, for what lies between the layers, and were no faster each where it was tried.
POSITIONS_AT_ONCE = 1_024


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


class DeviceError(CheckpointError):
    """The device that was asked for is not there, or the engine cannot do what was asked for."""


class CheckpointFiles(NamedTuple):
    """Where an engine finds a checkpoint, where it may keep what it makes of it, and whom it tells that it does."""

    directory: Path
    cache: Path | None
    on_stage: Callable[[str], None]


class Encoder(ABC):
    """A loaded SigLIP, as the service sees it; an engine computes its towers.

    Args:
        processor: Of the checkpoint.
        info: What to say about it.
        scale: The temperature, already exponentiated.
        bias: The bias.
        max_batch: The largest batch.
    """

    def __init__(self, processor: SigLIPProcessor, info: EncoderInfo, *, scale: float, bias: float, max_batch: int):
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1. Received: {max_batch}")
        self.processor = processor
        self.info = info
        self.scale = scale
        self.bias = bias
        self.max_batch = max_batch

    @classmethod
    @abstractmethod
    def place(cls, device: str, dtype: str) -> tuple[str, str]:
        """Returns the device's name and the towers' type, for what `load_encoder` was asked for.

        Raises:
            DeviceError: The device is not there, or the engine cannot compute so.
        """

    @classmethod
    @abstractmethod
    def load(cls, files: CheckpointFiles, processor: SigLIPProcessor, info: EncoderInfo, max_batch: int) -> "Encoder":
        """Returns a checkpoint on the device and in the type that `info` says."""

    def warm_up(self) -> None:  # noqa: B027 (not abstract: an engine may have done it all as it was loaded)
        """Does once, before the first request, what loading has not done and a first request would wait for."""

    @abstractmethod
    def compute_images(self, images: np.ndarray) -> np.ndarray:
        """Returns what `encode_images` does."""

    @abstractmethod
    def compute_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns what `encode_texts` does."""

    @abstractmethod
    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity."""

    def self_test(self) -> None:
        """Raises `model.engines.self_test.SelfTestFailed` unless the checkpoint does what it must."""
        self_test.run(self)

    def prepare_image(self, rgb: ImageLike) -> np.ndarray:
        """Returns an image, [H, W, 3] uint8 or Pillow's, at the tower's size, [S, S, 3] uint8."""
        return resize(rgb, self.info.image_size, self.processor.resample)

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """Returns token ids, [K, L] int32."""
        return self.processor.tokenizer(texts)

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings, [B, E] float32, L2-normalised, from [B, S, S, 3] uint8; 1 <= B <= max_batch."""
        return self.compute_images(self.checked(images))

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings, [B, E] float32, L2-normalised, from [B, L] int32; 1 <= B <= max_batch."""
        return self.compute_texts(self.checked(token_ids))

    def checked(self, batch: np.ndarray) -> np.ndarray:
        """Returns the batch, which must have as many rows as may be computed at once.

        Raises:
            ValueError: It has none, or more.
        """
        if not 1 <= len(batch) <= self.max_batch:
            raise ValueError(f"a batch must have 1 to {self.max_batch} rows. Received: {len(batch)}")
        return batch


def load_encoder(  # noqa: PLR0913 (each is a setting of its own)
    variant: str | None = None,
    weights: str | None = None,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    engine: str = "tensorflow",
    engine_cache: Path | None = None,
    max_batch: int = 32,
    on_stage: Callable[[str], None] | None = None,
) -> Encoder:
    """Returns a checkpoint on its device, not yet warm.

    Args:
        variant: A name of `VARIANTS`, or None.
        weights: A published name, a directory, a hub id, or None; see `choose_weights`.
        revision: The hub commit, branch or tag.
        device: "auto" (the first GPU, else the CPU), "gpu" or "cpu".
        dtype: "auto" (bfloat16 on a GPU that has it, else float32), "float32", "bfloat16", or "int8", which is
            OpenVINO's alone.
        engine: "tensorflow", or "openvino", which is for the CPU alone.
        engine_cache: The folder where OpenVINO's form of a checkpoint is kept for the next time; None keeps nothing.
        max_batch: The largest batch that the two towers take at once.
        on_stage: Called with what is being done, "downloading 37 %" or "loading"; None draws a progress bar.

    Raises:
        CheckpointError: The checkpoint is unknown, unreachable, incomplete or of another architecture.
        DeviceError: A GPU was asked for and TensorFlow sees none, or the engine cannot do what was asked for.
    """
    names = choose_weights(variant, weights)
    chosen = engine_named(engine)
    place, towers_dtype = chosen.place(device, dtype)
    directory = checkpoint_directory(variant, weights, revision=revision, on_stage=on_stage)
    if on_stage:
        on_stage("loading")
    processor = SigLIPProcessor(weights=directory)  # first: what is refused for its small files, is so at once
    config = read_config_of(names[0] if names else variant, directory)
    path = Path(str(weights)).expanduser()
    info = EncoderInfo(
        variant=names[0] if names else variant_of(config, processor.tokenizer.rules.generation) or "custom",
        weights=names[1] if names else path.absolute().name if path.is_dir() else str(weights),
        revision=revision,
        sha256=fingerprint(directory),
        image_size=config.vision.image_size,
        context_length=config.text.context_length,
        embed_dim=config.embed_dim,
        vocab_size=config.text.vocab_size,
        dtype=towers_dtype,
        device=place,
        engine=engine,
        preprocessing=processor.preprocessing,
        canonicalisation=processor.tokenizer.canonicalisation,
        demonstration=names == EMBEDDED,
    )
    files = CheckpointFiles(directory, engine_cache, on_stage or (lambda stage: None))
    return chosen.load(files, processor, info, max_batch)


def engine_named(engine: str) -> type[Encoder]:
    """Returns an engine. It is imported here: the one takes seconds, the other is a package that few have.

    Raises:
        DeviceError: It is not installed.
        ValueError: There is none of this name.
    """
    if engine == "tensorflow":
        from model.engines.tensorflow_encoder import TensorFlowEncoder

        return TensorFlowEncoder
    if engine != "openvino":
        raise ValueError(f"engine must be tensorflow or openvino. Received: {engine!r}")
    if not find_spec("openvino"):
        raise DeviceError("the engine openvino is not installed: pip install -r requirements-openvino.txt")
    from model.engines.openvino_encoder import OpenVINOEncoder

    return OpenVINOEncoder


def rows_at_once(positions: int) -> int:
    """Returns how many rows, of so many positions each, a CPU computes at once."""
    return max(1, POSITIONS_AT_ONCE // positions)


def in_parts(compute: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, rows: int) -> np.ndarray:
    """Returns what `compute` makes of a batch, in parts of about the same size and at most so many rows."""
    return np.concatenate([compute(part) for part in np.array_split(batch, -(-len(batch) // rows))])
