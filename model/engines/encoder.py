"""The abstract encoder: a checkpoint on a device, NumPy in, NumPy out, and what all engines share.

It imports no engine. `model.engines.load` chooses one. One thread at a time may encode; preparing is thread-safe.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.checkpoint.hf_config import read_config_of
from model.checkpoint.safetensors_files import fingerprint
from model.config import CheckpointError, EncoderInfo
from model.patches import NaFlexPreprocessor
from model.preprocess import Preprocessor
from model.processor import SigLIPProcessor
from model.published import EMBEDDED, choose_weights, variant_of
from model.text.tokenizer import Tokens

# Positions (patches or tokens) that a CPU computes at once: five images of the base model, or 16 texts. More rows need
# more memory for activations, and no larger number was faster where it was tried.
POSITIONS_AT_ONCE = 1_024


class DeviceError(CheckpointError):
    """The requested device is missing, or the engine does not support what was requested."""


class GraphsUnavailable(CheckpointError):
    """A checkpoint's graphs for OpenVINO cannot be made, stored or read. The checkpoint itself may be fine."""


class CheckpointFiles(NamedTuple):
    """A checkpoint, the folder for what an engine derives from it, and a callback for the load's stage.

    `max_num_patches` is the number for NaFlex, and None for other checkpoints.
    """

    directory: Path
    cache: Path | None
    on_stage: Callable[[str], None]
    max_num_patches: int | None = None


class EncoderInputs:
    """What prepares the inputs of a loaded SigLIP, and the facts about it. It needs no engine.

    Args:
        processor: The checkpoint's processor.
        info: The facts about the checkpoint.
        scale: The temperature, already exponentiated.
        bias: The bias.
    """

    def __init__(self, processor: SigLIPProcessor, info: EncoderInfo, *, scale: float, bias: float):
        self.processor = processor
        self.info = info
        self.scale = scale
        self.bias = bias

    @property
    def directory(self) -> Path:
        """The checkpoint's files."""
        return self.processor.directory

    @property
    def preprocessor(self) -> Preprocessor | NaFlexPreprocessor:
        """Converts an image, [H, W, 3] uint8 or Pillow's, to the tower's input, uint8 of the preprocessor's `shape`."""
        return self.processor.preprocessor

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """Returns token ids, [K, L] int32."""
        return self.processor.tokenizer(texts)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Returns token ids, and which texts are truncated or have unknown pieces."""
        return self.processor.tokenizer.tokenize(texts)

    def is_readable(self, texts: Sequence[str]) -> np.ndarray:
        """Returns whether each text has a piece that the vocabulary was trained on, [K] bool."""
        return self.processor.tokenizer.is_readable(texts)


class Encoder(EncoderInputs, ABC):
    """A loaded SigLIP. An engine implements the two towers.

    Args:
        processor: The checkpoint's processor.
        info: The facts about the checkpoint.
        scale: The temperature, already exponentiated.
        bias: The bias.
        max_batch: The largest batch.
    """

    def __init__(self, processor: SigLIPProcessor, info: EncoderInfo, *, scale: float, bias: float, max_batch: int):
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1. Received: {max_batch}")
        super().__init__(processor, info, scale=scale, bias=bias)
        self.max_batch = max_batch

    @classmethod
    @abstractmethod
    def place(cls, device: str, dtype: str) -> tuple[str, str]:
        """Returns the device's name and the towers' dtype for a requested device and dtype.

        Raises:
            DeviceError: The device is missing, or the engine does not support the dtype.
        """

    @classmethod
    @abstractmethod
    def load(cls, files: CheckpointFiles, processor: SigLIPProcessor, info: EncoderInfo, max_batch: int) -> "Encoder":
        """Returns the checkpoint on the device and in the dtype of `info`."""

    @abstractmethod
    def warm_up(self) -> None:
        """Does what the first request would otherwise wait for."""

    @abstractmethod
    def self_test(self) -> None:
        """Raises `model.engines.self_test.SelfTestFailed` if the loaded checkpoint gives wrong embeddings."""

    @abstractmethod
    def compute_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings; see `encode_images`."""

    @abstractmethod
    def compute_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings; see `encode_texts`."""

    @abstractmethod
    def not_finite(self) -> list[str]:
        """Returns the names of the checkpoint's tensors that hold a NaN or an infinity."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Returns image embeddings, [B, E] float32, L2-normalised, for prepared images, [B, *shape] uint8.

        1 <= B <= max_batch.
        """
        return self.compute_images(self.checked(images))

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns text embeddings, [B, E] float32, L2-normalised, from [B, L] int32; 1 <= B <= max_batch."""
        return self.compute_texts(self.checked(token_ids))

    def checked(self, batch: np.ndarray) -> np.ndarray:
        """Returns the batch.

        Raises:
            ValueError: It is empty or larger than `max_batch`.
        """
        if not 1 <= len(batch) <= self.max_batch:
            raise ValueError(f"a batch must have 1 to {self.max_batch} rows. Received: {len(batch)}")
        return batch


def checkpoint_info(
    variant: str | None,
    weights: str | None,
    directory: Path,
    processor: SigLIPProcessor,
    *,
    revision: str | None = None,
    dtype: str,
    device: str,
    engine: str,
) -> EncoderInfo:
    """Returns the facts about a checkpoint directory, which was requested as `variant` and `weights`.

    Raises:
        CheckpointError: It is not of the requested variant, or its files are incomplete.
    """
    names = choose_weights(variant, weights)
    config = read_config_of(names[0] if names else variant, directory)
    path = Path(str(weights)).expanduser()
    return EncoderInfo(
        variant=names[0] if names else variant_of(config, processor.tokenizer.rules.generation) or "custom",
        weights=names[1] if names else path.absolute().name if path.is_dir() else str(weights),
        revision=revision,
        sha256=fingerprint(directory),
        demonstration=names == EMBEDDED,
        image_size=processor.image_size,
        max_num_patches=processor.max_num_patches,
        context_length=config.text.context_length,
        embed_dim=config.embed_dim,
        vocab_size=config.text.vocab_size,
        dtype=dtype,
        device=device,
        engine=engine,
        preprocessing=processor.preprocessor.description,
        canonicalisation=processor.tokenizer.canonicalisation,
    )


def rows_at_once(positions: int) -> int:
    """Returns how many rows of `positions` positions a CPU computes at once."""
    return max(1, POSITIONS_AT_ONCE // positions)


def in_parts(compute: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, rows: int) -> np.ndarray:
    """Returns `compute(batch)`, computed in parts of similar size with at most `rows` rows."""
    return np.concatenate([compute(part) for part in np.array_split(batch, -(-len(batch) // rows))])
