"""A fake encoder. Tests can compute each embedding from its input, so they detect swapped results."""

import ctypes
import hashlib
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from model.config import EncoderInfo
from model.preprocess import ImageLike
from model.text.tokenizer import SigLIPTokenizer, Tokens
from tests.golden.cases import HERE

SIDE, CONTEXT_LENGTH, EMBED_DIM = 8, 16, 32
SCALE, BIAS = 10.0, -5.0


INFO = EncoderInfo(
    variant="FakeSigLIP",
    weights="fake_8",
    revision=None,
    sha256="0" * 64,
    demonstration=False,
    image_size=(SIDE, SIDE),
    max_num_patches=None,
    context_length=CONTEXT_LENGTH,
    embed_dim=EMBED_DIM,
    vocab_size=256,
    dtype="float32",
    device="CPU",
    engine="tensorflow",
    preprocessing="the mean colour",
    canonicalisation="lower case",
)


def embed(row: np.ndarray) -> np.ndarray:
    """Returns the embedding of one prepared image or text, [E] float32, L2-normalised: random, seeded by its digest."""
    seed = int.from_bytes(hashlib.sha256(np.ascontiguousarray(row).tobytes()).digest()[:8], "little")
    values = np.random.default_rng(seed).standard_normal(EMBED_DIM)
    return (values / np.linalg.norm(values)).astype(np.float32)


@dataclass(frozen=True)
class MeanColour:
    """Prepares an image as its mean colour, [S, S, 3] uint8, in a worker process."""

    shape: ClassVar[tuple[int, ...]] = (SIDE, SIDE, 3)
    longest_side: ClassVar[int] = SIDE

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        mean = np.asarray(rgb).reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
        return np.broadcast_to(mean, self.shape).copy()


@dataclass(frozen=True)
class Recorder(MeanColour):
    """Records the size of each image as an empty file: a worker can tell nobody else, and may not write."""

    folder: Path

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        height, width = np.asarray(rgb).shape[:2]
        (self.folder / f"{time.time_ns()}-{os.getpid()}-{width}x{height}").touch(exist_ok=False)
        return super().__call__(rgb)

    def sizes(self) -> list[str]:
        """Returns the size of each image, in order."""
        return [file.name.split("-")[-1] for file in sorted(self.folder.iterdir())]


@dataclass(frozen=True)
class Busy(MeanColour):
    """Waits until a file exists."""

    free: Path

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        while not self.free.exists():
            time.sleep(0.005)
        return super().__call__(rgb)


@dataclass(frozen=True)
class Faulty(MeanColour):
    """Calls a function when an image has a certain mean colour, as a decoder with a fault would do."""

    fault: Callable[[], object]
    colour: tuple[int, int, int]

    def __call__(self, rgb: ImageLike) -> np.ndarray:
        mean = super().__call__(rgb)
        if tuple(mean[0, 0]) == self.colour:
            self.fault()
        return mean


def segfault() -> None:
    """Reads from address 0."""
    ctypes.string_at(0)


def sigkill() -> None:
    """Ends the process, as the kernel does if the machine has no memory left."""
    os.kill(os.getpid(), signal.SIGKILL)


def loop() -> None:
    """Computes for ever."""
    while True:
        pass


def sleep() -> None:
    """Waits for ever."""
    threading.Event().wait()


def allocate() -> None:
    """Takes ever more memory."""
    taken = []
    while True:
        taken.append(bytes(10_000_000))


def warn() -> None:
    """Warns and logs, as libraries do about damaged files."""
    warnings.warn("a damaged file", stacklevel=1)
    logging.getLogger("tifffile").error("a damaged file")


def raise_error() -> None:
    """Raises an error that no reader of images raises."""
    raise LookupError("a fault")


@dataclass
class FakeEncoder:
    """Records batch sizes and thread names. The `before_*` functions run first in a stage and may block or raise.

    `before_batch` runs before each batch, `before_warm_up` and `before_self_test` during the start.
    """

    before_batch: Callable[[], None] = lambda: None
    before_warm_up: Callable[[], None] = lambda: None
    before_self_test: Callable[[], None] = lambda: None
    preprocessor: MeanColour = field(default_factory=MeanColour)
    info: EncoderInfo = INFO
    directory: Path = HERE
    scale: float = SCALE
    bias: float = BIAS
    image_batches: list[int] = field(default_factory=list)
    text_batches: list[int] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def warm_up(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.before_warm_up()

    def self_test(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.before_self_test()

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """Returns a digest of each text, [K, L] int32. Case is ignored, as in SigLIP."""
        digests = [hashlib.sha256(text.lower().encode()).digest()[:CONTEXT_LENGTH] for text in texts]
        return np.array([list(digest) for digest in digests], np.int32)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Returns the same ids. No text is truncated or has unknown pieces, or is shorter."""
        no = np.zeros(len(texts), bool)
        return Tokens(self.prepare_text(texts), no, no, np.full(len(texts), CONTEXT_LENGTH))

    def is_readable(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones(len(texts), bool)

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        return self.encode(images, self.image_batches)

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        return self.encode(token_ids, self.text_batches)

    def encode(self, batch: np.ndarray, sizes: list[int]) -> np.ndarray:
        self.threads.add(threading.current_thread().name)
        sizes.append(len(batch))
        self.before_batch()
        return np.stack([embed(row) for row in batch])

    def logit(self, rgb: ImageLike, prompt: str) -> float:
        """Returns the logit that the service must give for one image and one prompt."""
        image = embed(self.preprocessor(rgb))
        return self.scale * float(image @ embed(self.prepare_text([prompt])[0])) + self.bias


class TokenizingEncoder(FakeEncoder):
    """Has a real tokenizer, with 16 tokens, that was trained on a few European words."""

    tokenizer = SigLIPTokenizer(HERE / "spiece.model", CONTEXT_LENGTH, 400)

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        return self.tokenizer(texts)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        return self.tokenizer.tokenize(texts)

    def is_readable(self, texts: Sequence[str]) -> np.ndarray:
        return self.tokenizer.is_readable(texts)
