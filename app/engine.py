"""One classification: labels and a picture in, scores out. Owns the device thread and the threads for the CPU's work.

Only the towers are batched. What depends on one client's bytes, decoding and resizing, happens per request and before
the shared batch; labels differ per request, and scoring them is a [K, E] x [E] product.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, chain
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

    async def load(
        self,
        load_encoder: Callable[[], Encoder],
        load_label_sets: Callable[[EncoderInfo], Awaitable[None]] | None = None,
    ) -> None:
        """Loads and warms up on the device thread, then embeds what will be asked for by name.

        `stage` says how far it is. What goes wrong is raised.
        """
        try:
            self.stage = "loading"
            encoder = await asyncio.wrap_future(self._device.call(load_encoder))
            self.stage = "compiling"
            await asyncio.wrap_future(self._device.call(encoder.warm_up))
            self._open(encoder)
            self.stage = "label sets"
            if load_label_sets:
                await load_label_sets(encoder.info)
        except Exception:
            self.stage = FAILED
            raise
        self.stage = READY

    def _open(self, encoder: Encoder) -> None:
        """Puts the queues before the encoder."""
        self._images = Batcher(
            encoder.encode_images, self._device, max_batch=self._max_batch, max_queue_items=self._max_queue_items
        )
        texts = Batcher(encoder.encode_texts, self._device, max_batch=self._max_batch, max_queue_items=MAX_QUEUED_TEXTS)
        self._text_cache = TextCache(texts.submit, self._text_cache_bytes)
        self._encoder = encoder

    @property
    def encoder(self) -> Encoder:
        """The encoder, once it is ready.

        Raises:
            NotReady: It is not; the message says at which stage it is.
        """
        if self.stage != READY:
            raise NotReady(f"The model is not ready: {self.stage}.")
        return self._encoder

    def check_ready(self) -> None:
        """Raises `NotReady` unless requests may come."""
        _ = self.encoder

    @property
    def alive(self) -> bool:
        """Whether the device thread runs."""
        return self._device.alive

    async def classify(self, rgb: np.ndarray, embed_classes: Callable[[], Awaitable[np.ndarray]]) -> Classification:
        """Returns how well each class fits the picture.

        Args:
            rgb: [H, W, 3] uint8.
            embed_classes: Gives class embeddings [K, E], such as `embed_labels`; it runs beside the image's way.

        Raises:
            NotReady: The model is still loading.
            Overloaded: The queue is full.
        """
        encoder = self.encoder
        try:
            image, (class_embeddings, text_s) = await asyncio.gather(
                self._embed_image(encoder, rgb), timed(embed_classes())
            )
        except QueueFull:
            raise Overloaded(self.admission.retry_after_s()) from None
        scores = await self.in_thread(zero_shot.scores, image.row, class_embeddings, encoder.scale, encoder.bias)
        if not np.isfinite(scores.logits).all():
            raise InternalError("The model has given a score that is not a number.")
        timings_s = {"queue": image.queue_s, "image": image.compute_s, "text": text_s}
        return Classification(scores, timings_s)

    async def embed_labels(self, labels: Sequence[str], templates: Sequence[str] | None = None) -> np.ndarray:
        """Returns class embeddings [K, E]: for each label the mean over T templates; None for SigLIP's own."""
        templates = templates or zero_shot.DEFAULT_TEMPLATES
        prompts = await self.in_thread(zero_shot.prompts, labels, templates)
        embeddings = await self.embed_texts(prompts)  # [K * T, E]
        by_label = embeddings.reshape(len(labels), len(templates), -1)
        return await self.in_thread(zero_shot.class_embeddings, by_label)

    async def embed_prompts(self, prompts: Sequence[Sequence[str]]) -> np.ndarray:
        """Returns class embeddings [K, E]: for each label the mean over its own prompts, however many."""
        embeddings = await self.embed_texts(list(chain.from_iterable(prompts)))
        ends = list(accumulate(map(len, prompts)))

        def means() -> np.ndarray:
            return np.concatenate(
                [zero_shot.class_embeddings(own[np.newaxis]) for own in np.split(embeddings, ends[:-1])]
            )

        return await self.in_thread(means)

    async def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Returns embeddings [N, E] of texts as they are; those that are known cost nothing.

        Raises:
            Overloaded: The queue is full.
        """
        token_ids = await self.in_thread(self._encoder.prepare_text, texts)
        try:
            embeddings = await self._text_cache.get(token_ids)
        except QueueFull:
            raise Overloaded(self.admission.retry_after_s()) from None
        if not np.isfinite(embeddings).all():
            raise InternalError("The model has given an embedding that is not a number.")
        return embeddings

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


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    """Returns what the work gives, and the seconds that it took."""
    started_s = time.perf_counter()
    return await work, time.perf_counter() - started_s
