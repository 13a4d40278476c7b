"""What the service needs of a loaded model, as Protocols. Tests inject a fake here."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from app.images.prepare import Preprocessor
from app.inference.model_facts import ModelFacts
from app.settings import Settings
from model.config import EncoderInfo
from model.engines.machine import has_int8_dot_product
from model.text.tokenizer import Tokens

log = logging.getLogger("app")


OnStage = Callable[[str], None]  # gets the stage of the start, such as "downloading 37 %"


class Processor(Protocol):
    """What prepares the inputs of a loaded model, and the facts about it. Runs on any thread, in any process."""

    @property
    def info(self) -> EncoderInfo: ...
    @property
    def scale(self) -> float:
        """The temperature, already exponentiated."""

    @property
    def bias(self) -> float: ...

    @property
    def directory(self) -> Path:
        """The checkpoint's files, with which another process can prepare inputs."""

    @property
    def preprocessor(self) -> Preprocessor:
        """Converts images to rows of `encode_images`, in another process."""

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """K texts to [K, L] int32."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The same, how many tokens each text has, and which texts are truncated or have unknown pieces."""

    def is_readable(self, texts: Sequence[str]) -> np.ndarray:
        """Whether each text has a piece that the vocabulary was trained on, [K] bool."""


class Encoder(Processor, Protocol):
    """The two towers on their device, and what prepares their inputs. The towers run on the device thread only."""

    def warm_up(self) -> None:
        """Does what the first request would otherwise wait for, such as compiling every batch size."""

    def self_test(self) -> None:
        """Raises if known inputs do not give the expected embeddings."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """[B, *preprocessor.shape] uint8 to [B, E] float32, L2-normalised."""

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """[B, L] int32 to [B, E] float32, L2-normalised."""


def load_encoder(settings: Settings, on_stage: OnStage) -> Encoder:
    """Returns the configured checkpoint on its device, not yet warmed up.

    Args:
        settings: The model, its weights, the device, the dtype and the engine.
        on_stage: Called with the current stage.

    Raises:
        CheckpointError: It is unknown, unreachable, incomplete or of another architecture.
    """
    # Imported here, and called on the device thread: importing an engine may take seconds.
    from model.engines.load import load_encoder

    if settings.dtype == "int8" and not has_int8_dot_product():
        log.warning("int8 is slower than float32 on this CPU, which has no VNNI")
    loaded: Encoder = load_encoder(
        settings.model,
        settings.weights,
        revision=settings.revision,
        max_num_patches=settings.max_num_patches,
        device=settings.device,
        dtype=settings.dtype,
        engine=settings.engine,
        engine_cache=settings.engine_cache,
        max_batch=settings.max_batch,
        on_stage=on_stage,
    )
    return loaded


def logged(on_stage: OnStage) -> OnStage:
    """Returns a function that also logs the stage: of the percents, every tenth."""

    def log_stage(stage: str) -> None:
        on_stage(stage)
        if stage.endswith("0 %") or not stage.endswith("%"):
            log.info(stage)

    return log_stage


def load_processor(facts: ModelFacts) -> Processor:
    """Returns what prepares inputs for a model that another process has loaded.

    Raises:
        CheckpointError: The checkpoint's files cannot be read.
    """
    from model.engines.encoder import EncoderInputs
    from model.processor import SigLIPProcessor

    processor = SigLIPProcessor(weights=facts.directory, max_num_patches=facts.info.max_num_patches)
    return EncoderInputs(processor, facts.info, scale=facts.scale, bias=facts.bias)


def uses_tensorflow(settings: Settings) -> bool:
    """Returns whether the configured engine is TensorFlow, or for `auto`, whether it is the first choice."""
    from model.engines.load import engines_to_try

    return engines_to_try(settings.engine, settings.device, settings.dtype)[0] == "tensorflow"
