"""What the service needs of a loaded model, as a Protocol. Tests inject a fake here."""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from app.settings import Settings
from model.engines.cpu import has_int8_dot_product
from model.preprocess import ImageLike

log = logging.getLogger("app")


class EncoderInfo(Protocol):
    """What is loaded, in plain values."""

    @property
    def variant(self) -> str: ...
    @property
    def weights(self) -> str: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def sha256(self) -> str: ...
    @property
    def image_size(self) -> tuple[int, int]: ...
    @property
    def context_length(self) -> int: ...
    @property
    def embed_dim(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def engine(self) -> str: ...
    @property
    def preprocessing(self) -> str: ...
    @property
    def canonicalisation(self) -> str: ...
    @property
    def demonstration(self) -> bool: ...


class Encoder(Protocol):
    """The two towers on their device. `prepare_*` may run on any thread, all else on the device thread alone."""

    @property
    def info(self) -> EncoderInfo: ...
    @property
    def scale(self) -> float:
        """The temperature, already exponentiated."""

    @property
    def bias(self) -> float: ...

    def warm_up(self) -> None:
        """Compiles every batch size."""

    def self_test(self) -> None:
        """Raises unless known inputs give what they must."""

    def prepare_image(self, rgb: ImageLike) -> np.ndarray:
        """[H, W, 3] uint8, or a Pillow image in RGB, to [S, S, 3] uint8."""

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """K texts to [K, L] int32."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """[B, S, S, 3] uint8 to [B, E] float32, L2-normalised."""

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """[B, L] int32 to [B, E] float32, L2-normalised."""


def load_encoder(settings: Settings, on_stage: Callable[[str], None]) -> Encoder:
    """Returns the configured checkpoint on its device, not yet warm; `on_stage` is told "downloading 37 %".

    Raises:
        CheckpointError: Of `model.config`: it is unknown, unreachable, incomplete or of another architecture.
    """
    # Here, and by the service on its device thread: importing an engine may take seconds.
    from model.engines.load import load_encoder

    if settings.dtype == "int8" and not has_int8_dot_product():
        log.warning("int8 takes more time than float32 on this processor, which has no VNNI")
    loaded: Encoder = load_encoder(
        settings.model,
        settings.weights,
        revision=settings.revision,
        device=settings.device,
        dtype=settings.dtype,
        engine=settings.engine,
        engine_cache=settings.engine_cache,
        max_batch=settings.max_batch,
        on_stage=on_stage,
    )
    return loaded
