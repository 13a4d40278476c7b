"""One classification: labels and a picture in, scores out. Owns the device thread and the threads for the CPU's work.

Only the towers are batched. What depends on one client's bytes, decoding and resizing, happens per request and before
the shared batch; labels differ per request, and scoring them is a [K, E] x [E] product.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

import numpy as np

from app.admission import Admission
from app.batching import Batcher, QueueFull, Result, Worker
from app.errors import InternalError, NotReady, Overloaded
from app.text_cache import TextCache
from model import zero_shot

P = ParamSpec("P")
T = TypeVar("T")

MAX_QUEUED_TEXTS = 100_000  # at 64 tokens, some 60 MB

READY, FAILED = "ready", "failed"


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

    def prepare_image(self, rgb: np.ndarray) -> np.ndarray:
        """[H, W, 3] uint8 to [S, S, 3] uint8."""

    def prepare_text(self, texts: Sequence[str]) -> np.ndarray:
        """K texts to [K, L] int32."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """[B, S, S, 3] uint8 to [B, E] float32, L2-normalised."""

    def encode_texts(self, token_ids: np.ndarray) -> np.ndarray:
        """[B, L] int32 to [B, E] float32, L2-normalised."""


class Classification(NamedTuple):
    """Scores per label, in the order of the labels, and where the time went."""

    scores: zero_shot.Scores
    timings_s: dict[str, float]

    def order(self, top_k: int | None = None, threshold: float | None = None) -> np.ndarray:
        """Returns indices by falling logit, equal ones in order, cut by `threshold` on the sigmoid and by `top_k`."""
        order = np.argsort(-self.scores.logits, kind="stable")
        if threshold is not None:
            order = order[self.scores.sigmoid[order] >= threshold]
        return order[:top_k]


class Engine:
    """A loaded encoder and the queues before it.

    Args:
        max_batch: Images, or texts, that the device computes at once.
        max_queue_items: Requests at a time.
        text_cache_bytes: Memory for text embeddings.
    """

    def __init__(self, *, max_batch: int, max_queue_items: int, text_cache_bytes: int) -> None:
        self.stage = "starting"
        self.admission = Admission(max_queue_items)
        self._max_batch = max_batch
        self._max_queue_items = max_queue_items
        self._text_cache_bytes = text_cache_bytes
        self._device = Worker("device")
        # As many as there are processors: each may hold a decoded image, and more would be no faster.
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="cpu")
        self._encoder: Encoder | None = None

    def report(self, stage: str) -> None:
        """Takes the stage from a load, such as "downloading 37 %"."""
        self.stage = stage

    async def load(self, load_encoder: Callable[[], Encoder]) -> None:
        """Loads, warms up and tests on the device thread; `stage` says how far it is. What goes wrong is raised."""
        try:
            self.stage = "loading"
            encoder = await asyncio.wrap_future(self._device.call(load_encoder))
            self.stage = "compiling"
            await asyncio.wrap_future(self._device.call(encoder.warm_up))
            self.stage = "self-test"
            await asyncio.wrap_future(self._device.call(encoder.self_test))
        except Exception:
            self.stage = FAILED
            raise
        self._images = Batcher(
            encoder.encode_images, self._device, max_batch=self._max_batch, max_queue_items=self._max_queue_items
        )
        texts = Batcher(encoder.encode_texts, self._device, max_batch=self._max_batch, max_queue_items=MAX_QUEUED_TEXTS)
        self._text_cache = TextCache(texts.submit, self._text_cache_bytes)
        self._encoder = encoder
        self.stage = READY

    @property
    def encoder(self) -> Encoder:
        """The encoder, once it is ready.

        Raises:
            NotReady: It is not; the message says at which stage it is.
        """
        if self._encoder is None:
            raise NotReady(f"The model is not ready: {self.stage}.")
        return self._encoder

    def check_started(self) -> None:
        """Raises `NotReady` until the start has come to its end; not any more afterwards."""
        _ = self.encoder

    def check_ready(self) -> None:
        """Raises `NotReady` unless requests may come."""
        _ = self.encoder

    @property
    def alive(self) -> bool:
        """Whether the device thread runs."""
        return self._device.alive

    async def classify(
        self, rgb: np.ndarray, labels: Sequence[str], templates: Sequence[str] | None = None
    ) -> Classification:
        """Returns how well each label fits the picture.

        Args:
            rgb: [H, W, 3] uint8.
            labels: K labels.
            templates: T templates, each with `{}` for the label, averaged; None for SigLIP's own.

        Raises:
            NotReady: The model is still loading.
            Overloaded: The queue is full.
        """
        encoder = self.encoder
        try:
            image, (class_embeddings, text_s) = await asyncio.gather(
                self._embed_image(encoder, rgb),
                self._embed_labels(encoder, labels, templates or zero_shot.DEFAULT_TEMPLATES),
            )
        except QueueFull:
            raise Overloaded(self.admission.retry_after_s()) from None
        scores = await self.in_thread(zero_shot.scores, image.row, class_embeddings, encoder.scale, encoder.bias)
        if not np.isfinite(scores.logits).all():
            raise InternalError("The model has given a score that is not a number.")
        timings_s = {"queue": image.queue_s, "image": image.compute_s, "text": text_s}
        return Classification(scores, timings_s)

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """Ends the threads. A load that is under way is not waited for."""
        self._device.stop()
        if self.stage == READY:
            await asyncio.get_running_loop().run_in_executor(None, self._device.join)
        self._threads.shutdown(wait=False)

    async def _embed_image(self, encoder: Encoder, rgb: np.ndarray) -> Result:
        """Returns the image's embedding [E]; its `compute_s` includes the resizing."""
        started_s = time.perf_counter()
        prepared = await self.in_thread(encoder.prepare_image, rgb)
        prepare_s = time.perf_counter() - started_s
        (future,) = self._images.submit([prepared])
        result = await future
        return result._replace(compute_s=result.compute_s + prepare_s)

    async def _embed_labels(
        self, encoder: Encoder, labels: Sequence[str], templates: Sequence[str]
    ) -> tuple[np.ndarray, float]:
        """Returns class embeddings [K, E], and the seconds that they took."""
        started_s = time.perf_counter()
        token_ids = await self.in_thread(lambda: encoder.prepare_text(zero_shot.prompts(labels, templates)))
        embeddings = await self._text_cache.get(token_ids)  # [K * T, E]
        by_label = embeddings.reshape(len(labels), len(templates), -1)
        class_embeddings = await self.in_thread(zero_shot.class_embeddings, by_label)
        return class_embeddings, time.perf_counter() - started_s
