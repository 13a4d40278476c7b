"""One classification: labels and a picture in, scores out. Owns the device thread and the threads for the CPU's work.

Only the towers are batched. What depends on one client's bytes, decoding and resizing, happens per request and before
the shared batch; labels differ per request, and scoring them is a [K, E] x [E] product.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from app.admission import Admission
from app.batching import Batcher, BatchFailed, QueueFull, Result
from app.encoder import Encoder, EncoderInfo
from app.errors import Draining, InternalError, NotReady, Overloaded
from app.metrics import Metrics
from app.pulse import Pulse
from app.text_cache import TextCache
from app.worker import Worker
from model import zero_shot

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")

MAX_QUEUED_ROWS = 100_000  # of texts: at 64 tokens, some 60 MB. Images have a permit each, which is the lower bound.
JOIN_S = 10.0  # for the batch that is being computed when the service ends

READY, FAILED = "ready", "failed"

log = logging.getLogger("app")


class Classification(NamedTuple):
    """Scores per label, in the order of the labels."""

    scores: zero_shot.Scores

    def order(self, top_k: int | None = None, threshold: float | None = None) -> np.ndarray:
        """Returns indices by falling logit, equal ones in order, cut by `threshold` on the sigmoid and by `top_k`."""
        order = np.argsort(-self.scores.logits, kind="stable")
        if threshold is not None:
            order = order[self.scores.sigmoid[order] >= threshold]
        return order[:top_k]


@dataclass(frozen=True)
class _TowerObserver:
    """Tells the metrics and the pulse what one tower's batcher does."""

    tower: str
    metrics: Metrics
    pulse: Pulse

    def waited(self, seconds: float) -> None:
        self.metrics.queue_wait(self.tower, seconds)

    def dropped(self, rows: int) -> None:
        self.metrics.dropped(self.tower, rows)

    def forward(self, rows: int, seconds: float) -> None:
        self.metrics.forward(self.tower, rows, seconds)
        self.pulse.beat()

    def forward_failed(self, rows: int, error: Exception) -> None:
        self.metrics.forward_failed(self.tower)
        self.pulse.suspect()
        alone = error if rows == 1 else None  # a larger one is halved, and it may be only that it was too large
        log.warning("%d rows have failed in the %s tower: %s", rows, self.tower, type(error).__name__, exc_info=alone)


class Engine:
    """A loaded encoder and the queues before it.

    Args:
        admission: Who may come in.
        metrics: Who counts.
        max_batch: Images, or texts, that the device computes at once.
        text_cache_bytes: Memory for text embeddings.
        canary_s: The idle time after which the device is tried.
        on_death: Called when the device thread has ended: nothing can be computed any more.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        metrics: Metrics,
        max_batch: int,
        text_cache_bytes: int,
        canary_s: float,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.stage = "starting"
        self.draining = False
        self.admission = admission
        self.metrics = metrics
        self._max_batch = max_batch
        self._text_cache_bytes = text_cache_bytes
        self._canary_s = canary_s
        self._device = Worker("device", on_death)
        # As many as there are processors: each may hold a decoded image, and more would be no faster.
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="cpu")
        self._encoder: Encoder | None = None
        self._watching: asyncio.Task[None] | None = None

    async def load(
        self,
        load_encoder: Callable[[], Encoder],
        load_label_sets: Callable[[EncoderInfo], Awaitable[None]] | None = None,
    ) -> None:
        """Loads, warms up and tests on the device thread, then embeds what will be asked for by name.

        `stage` says how far it is. What goes wrong is raised.
        """
        try:
            self.stage = "loading"
            encoder = await asyncio.wrap_future(self._device.call(load_encoder))
            self.stage = "compiling"
            await asyncio.wrap_future(self._device.call(encoder.warm_up))
            self.stage = "self-test"
            await asyncio.wrap_future(self._device.call(encoder.self_test))
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
        blank = np.zeros((1, *encoder.info.image_size, 3), np.uint8)
        self._pulse = Pulse(
            lambda: asyncio.wrap_future(self._device.call(lambda: encoder.encode_images(blank))), self._canary_s
        )
        self._watching = asyncio.create_task(self._pulse.watch())
        self._images = self._batcher("image", encoder.encode_images)
        self._text_cache = TextCache(self._batcher("text", encoder.encode_texts).submit, self._text_cache_bytes)
        self._encoder = encoder

    def _batcher(self, tower: str, encode: Callable[[np.ndarray], np.ndarray]) -> Batcher:
        observer = _TowerObserver(tower, self.metrics, self._pulse)
        return Batcher(encode, self._device, observer, max_batch=self._max_batch, max_queue_items=MAX_QUEUED_ROWS)

    @property
    def loaded(self) -> bool:
        """Whether the start is over."""
        return self.stage == READY

    @property
    def encoder(self) -> Encoder:
        """The encoder, once the service is ready.

        Raises:
            NotReady: It is not; the message says at which stage it is.
        """
        if self._encoder is None or not self.loaded:
            raise NotReady(f"The model is not ready: {self.stage}.")
        return self._encoder

    def check_ready(self) -> None:
        """Raises `NotReady` or `Draining` unless new requests should come."""
        if self.draining:
            raise Draining("The service is shutting down; it takes its last requests.")
        _ = self.encoder
        if reason := self._pulse.unready_reason:
            raise NotReady(f"The service is not ready: {reason}.")

    def check_live(self) -> None:
        """Raises `NotReady` if nothing but a restart would help."""
        if not self._device.alive:
            raise NotReady("The device thread has ended. Restart this process.")
        if self.loaded and self._pulse.lost:
            raise NotReady(f"The device is lost: {self._pulse.unready_reason}. Restart this process.")

    async def embed_image(self, image: np.ndarray) -> Result:
        """Returns the embedding [E] of a prepared image [S, S, 3] uint8, and how long it took."""
        (future,) = self._images.submit([image])
        try:
            result = await future
        except BatchFailed as error:
            raise InternalError("The device could not compute this image.") from error
        if not np.isfinite(result.row).all():
            self._pulse.suspect()
            raise InternalError("The model has given an embedding that is not a number.")
        return result

    async def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Returns embeddings [N, E] of texts as they are; those that are known cost nothing.

        Raises:
            Overloaded: The queue is full.
        """
        encoder = self._encoder or self.encoder  # label sets are embedded before all is ready
        token_ids = await self.in_thread(encoder.prepare_text, texts)
        try:
            embeddings = await self._text_cache.get(token_ids)
        except QueueFull:
            raise Overloaded(self.admission.retry_after_s()) from None
        except BatchFailed as error:
            raise InternalError("The device could not compute these texts.") from error
        if not np.isfinite(embeddings).all():
            raise InternalError("The model has given an embedding that is not a number.")
        return embeddings

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

    def classify(self, image_embedding: np.ndarray, class_embeddings: np.ndarray) -> Classification:
        """Returns how well each of K classes [K, E] fits an image [E]. For a thread, if K is large."""
        encoder = self.encoder
        return Classification(zero_shot.scores(image_embedding, class_embeddings, encoder.scale, encoder.bias))

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run beside the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """Ends the threads. A load that is under way is not waited for, nor a device that is stuck."""
        if self._watching:
            self._watching.cancel()
        self._device.stop()
        if self.loaded:
            await asyncio.get_running_loop().run_in_executor(None, self._device.join, JOIN_S)
        self._threads.shutdown(wait=False)


async def together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Returns what both return; when one fails, the other is cancelled, so that nothing is computed for nobody."""
    tasks = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
