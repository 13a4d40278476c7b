"""Runs the service with an encoder that answers at once, so that everything else is measured.

    python -m benchmarks.serve_instant     reads SIGLIP_* variables, as `siglip serve` does

Its inputs are those of the base model: images of 224 x 224, and texts of 64 tokens of a real tokenizer. Its embeddings
mean nothing.
"""

import sys
from dataclasses import replace

import numpy as np

from app.cli.serve import serve
from app.inference.encoder import OnStage
from app.inference.model_facts import ModelFacts
from app.observability.logs import configure_logging
from app.processes.service import serve_processes
from app.settings import Settings, load_settings
from model.engines.encoder import EncoderInputs, checkpoint_info
from model.preprocess import Preprocessor
from model.processor import SigLIPProcessor
from model.published import EMBEDDED

IMAGE_SIZE, EMBED_DIM = (224, 224), 768


class InstantEncoder(EncoderInputs):
    """The embedded checkpoint's tokenizer, the base model's image size, and no towers."""

    def __init__(self) -> None:
        processor = SigLIPProcessor(*EMBEDDED)
        processor.preprocessor = Preprocessor(IMAGE_SIZE, processor.preprocessor.resample)
        info = checkpoint_info(
            *EMBEDDED, processor.directory, processor, dtype="float32", device="CPU", engine="tensorflow"
        )
        super().__init__(processor, replace(info, embed_dim=EMBED_DIM), scale=10.0, bias=-5.0)
        self.embedding = np.full(EMBED_DIM, EMBED_DIM**-0.5, np.float32)

    def warm_up(self) -> None:
        """Does nothing."""

    def self_test(self) -> None:
        """Does nothing."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Returns the same embedding for each image."""
        return np.tile(self.embedding, (len(images), 1))

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """Returns the same embedding for each text."""
        return np.tile(self.embedding, (len(token_ids), 1))


def load(settings: Settings, on_stage: OnStage) -> InstantEncoder:
    """Returns the encoder, in the device process."""
    return InstantEncoder()


def load_processor(facts: ModelFacts) -> InstantEncoder:
    """Returns what prepares inputs, in a front end."""
    return InstantEncoder()


if __name__ == "__main__":
    settings = load_settings()
    configure_logging(settings.log_format)
    if settings.processes > 1:
        sys.exit(serve_processes(settings, load, load_processor))
    sys.exit(serve(settings, InstantEncoder()))
