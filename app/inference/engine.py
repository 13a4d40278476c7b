"""One classification: labels and a picture in, scores out. Owns the device and the threads for the CPU's work.

Only the towers are batched. What depends on one client's bytes, decoding and resizing, happens per request and before
the shared batch; labels differ per request, and scoring them is a [K, E] x [E] product.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from itertools import chain
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from app.errors import Draining, InternalError, NotReady, Overloaded
from app.inference.admission import Admission
from app.inference.batcher import BatchFailed, QueueFull, Result
from app.inference.cache import EmbeddingCache
from app.inference.device import Device
from app.inference.encoder import Encoder, EncoderInfo
from app.inference.image_input import EmbeddedImage
from app.inference.scoring import Classification, prompt_means
from app.inference.threads import ThreadPool
from app.observability.metrics import MODEL, Metrics, Snapshot
from model import zero_shot
from model.engines.cpu import available_cpus

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")

READY, FAILED = "ready", "failed"
MAX_TEXTS_AT_ONCE = 2_000  # of one request: looking up and queueing 100,000 in one go would hold up all others
# What Python needs for an entry of a cache beside the key's and the embedding's own bytes, measured.
TEXT_OVERHEAD_BYTES, IMAGE_OVERHEAD_BYTES = 400, 1_000


class EmbeddedTexts(NamedTuple):
    """Embeddings [N, E], and how many of the different texts were known and how many were not."""

    embeddings: np.ndarray
    hits: int
    misses: int


class Engine:
    """A loaded encoder and the queues before it.

    Args:
        admission: Who may come in.
        metrics: Who counts.
        max_batch: Images, or texts, that the device computes at once.
        text_cache_bytes: Memory for text embeddings.
        image_cache_bytes: Memory for image embeddings.
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
        image_cache_bytes: int,
        canary_s: float,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.stage = "starting"
        self.draining = False
        self.admission = admission
        self.metrics = metrics
        self._text_cache: EmbeddingCache[Result] = EmbeddingCache(text_cache_bytes, TEXT_OVERHEAD_BYTES)
        self.image_cache: EmbeddingCache[EmbeddedImage] = EmbeddingCache(image_cache_bytes, IMAGE_OVERHEAD_BYTES)
        self._device = Device(metrics, max_batch, canary_s, on_death)
        # Two pools, so that a short task, such as tokenising, never waits for large images. Each thread may hold a
        # decoded image, and more threads than processors would not be faster.
        self._decoding = ThreadPool(available_cpus(), "decode")
        self._computing = ThreadPool(available_cpus(), "compute")
        self._encoder: Encoder | None = None

    def report(self, stage: str) -> None:
        """Takes the stage from a load, such as "downloading 37 %"."""
        self.stage = stage

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
            encoder = await self._device.call(load_encoder)
            self.stage = "compiling"
            await self._device.call(encoder.warm_up)
            self.stage = "self-test"
            await self._device.call(encoder.self_test)
            self._images, self._texts = self._device.open(encoder)
            self._encoder = encoder
            self.stage = "label sets"
            if load_label_sets:
                await load_label_sets(encoder.info)
        except Exception:
            self.stage = FAILED
            raise
        self.stage = READY

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

    def check_started(self) -> None:
        """Raises `NotReady` until the start has come to its end; not any more afterwards."""
        _ = self.encoder

    def check_ready(self) -> None:
        """Raises `NotReady` or `Draining` unless new requests should come."""
        if self.draining:
            raise Draining("The service is shutting down; it takes its last requests.")
        _ = self.encoder
        self._device.check_ready()

    @property
    def ready(self) -> bool:
        """Whether new requests should come."""
        try:
            self.check_ready()
        except (NotReady, Draining):
            return False
        return True

    @property
    def computing(self) -> bool:
        """Whether the device thread runs; also after `close`, if it is inside a long call."""
        return self._device.alive

    def check_live(self) -> None:
        """Raises `NotReady` if nothing but a restart would help."""
        self._device.check_live()

    async def embed_image(self, image: np.ndarray) -> Result:
        """Returns the embedding [E] of a prepared image [S, S, 3] uint8, and how long it took."""
        (future,) = self._images.submit([image])
        try:
            result = await future
        except BatchFailed as error:
            raise InternalError("The device could not compute this image.") from error
        self._check_finite(result.row)
        return result

    async def embed_texts(self, texts: Sequence[str]) -> EmbeddedTexts:
        """Returns embeddings [N, E] of texts as they are; those that are known cost nothing.

        Raises:
            Overloaded: The queue is full.
        """
        encoder = self._encoder or self.encoder  # label sets are embedded before all is ready
        parts, hits, misses = [], 0, 0
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            token_ids = await self.in_thread(encoder.prepare_text, texts[start : start + MAX_TEXTS_AT_ONCE])
            keys = [row.tobytes() for row in token_ids]
            try:
                found = await self._text_cache.get(dict(zip(keys, token_ids, strict=True)), self._texts.submit)
            except QueueFull:
                raise Overloaded(self.admission.retry_after_s()) from None
            except BatchFailed as error:
                raise InternalError("The device could not compute these texts.") from error
            parts.append(np.stack([found.results[key].row for key in keys]))
            self._check_finite(parts[-1])
            hits, misses = hits + found.hits, misses + found.misses
        return EmbeddedTexts(await self.in_thread(np.concatenate, parts), hits, misses)

    def _check_finite(self, embeddings: np.ndarray) -> None:
        if not np.isfinite(embeddings).all():
            self._device.suspect()
            raise InternalError("The model has given an embedding that is not a number.")

    async def embed_labels(self, labels: Sequence[str], templates: Sequence[str] | None = None) -> EmbeddedTexts:
        """Returns class embeddings [K, E]: for each label the mean over T templates; None for SigLIP's own."""
        templates = templates or zero_shot.DEFAULT_TEMPLATES
        prompts = await self.in_thread(zero_shot.prompts, labels, templates)
        found = await self.embed_texts(prompts)  # [K * T, E]
        by_label = found.embeddings.reshape(len(labels), len(templates), -1)
        return found._replace(embeddings=await self.in_thread(zero_shot.class_embeddings, by_label))

    async def embed_prompts(self, prompts: Sequence[Sequence[str]]) -> np.ndarray:
        """Returns class embeddings [K, E]: for each label the mean over its own prompts, however many."""
        embeddings = (await self.embed_texts(list(chain.from_iterable(prompts)))).embeddings
        return await self.in_thread(prompt_means, embeddings, [len(own) for own in prompts])

    def classify(self, image_embedding: np.ndarray, class_embeddings: np.ndarray) -> Classification:
        """Returns how well each of K classes [K, E] fits an image [E]. For a thread, if K is large."""
        encoder = self.encoder
        return Classification(zero_shot.scores(image_embedding, class_embeddings, encoder.scale, encoder.bias))

    def snapshot(self, label_sets: int) -> Snapshot:
        """Returns the state as the metrics show it."""
        return Snapshot(
            queue_depth=self.admission.items,
            queue_bytes=self.admission.bytes,
            text_cache_bytes=self._text_cache.bytes,
            text_cache_hits=self._text_cache.hits,
            text_cache_misses=self._text_cache.misses,
            text_cache_evictions=self._text_cache.evictions,
            image_cache_bytes=self.image_cache.bytes,
            image_cache_hits=self.image_cache.hits,
            image_cache_misses=self.image_cache.misses,
            image_cache_evictions=self.image_cache.evictions,
            label_sets=label_sets,
            ready=self.ready,
            info=None if self._encoder is None else {name: getattr(self._encoder.info, name) for name in MODEL},
        )

    async def in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in a thread for short work: parsing, validation, tokenising, scoring."""
        return await self._computing.run(function, *args, **kwargs)

    async def in_decoder(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns `function(...)`, run in a thread for decoding images."""
        return await self._decoding.run(function, *args, **kwargs)

    async def close(self) -> None:
        """Ends the threads. A load that is under way is not waited for, nor a device that is stuck."""
        await self._device.close()
        self._decoding.close()
        self._computing.close()


async def together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Returns what both return; when one fails, the other is cancelled, so that nothing is computed for nobody."""
    tasks = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
