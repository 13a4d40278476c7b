"""Images and texts to embeddings and scores, by a loaded encoder, with a cache in front of each tower's queue.

Only the towers are batched. What depends on one client's bytes, such as decoding, runs per request and before the
shared batch; labels differ per request, and scoring them is a [K, E] x [E] product.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from app.errors import IMAGE_ERRORS, Fault, InternalError, Overloaded, ServiceError
from app.images.decode_worker import PreparedImage
from app.images.workers import Workers
from app.inference.admission import Admission
from app.inference.batcher import BatchFailed, QueueFull, Result
from app.inference.cache import EmbeddingCache
from app.inference.device import Queues
from app.inference.encoder import Processor
from app.inference.image_input import EmbeddedImage, file_bytes, with_digest
from app.inference.label_lists import EmbeddedLabels, LabelLists
from app.inference.label_warnings import PromptTokens, joined, label_warnings, prompt_warnings, read_prompts
from app.inference.scoring import prompt_means
from app.inference.threads import Threads
from app.observability.metrics import Metrics
from app.observability.record import RequestRecord
from app.schemas import ResponseWarning
from app.settings import Settings
from model import zero_shot

MAX_TEXTS_AT_ONCE = 2_000  # of one request: looking up 100,000 at once would block the event loop
MAX_BYTES_ON_LOOP = 65_536  # hashing or base64-decoding less than this is faster than switching to a thread
# Python's memory for a cache entry in addition to the bytes of the key and the embedding, measured.
TEXT_OVERHEAD_BYTES, IMAGE_OVERHEAD_BYTES = 400, 1_000
LISTS_SHARE = 4  # a quarter of the text cache is for whole lists of labels


class EmbeddedTexts(NamedTuple):
    """Embeddings [N, E], the tokens, and the number of different texts that were cached and that were not."""

    embeddings: np.ndarray
    tokens: PromptTokens
    hits: int
    misses: int


class Embedder:
    """A loaded encoder with its caches.

    Args:
        encoder: The facts about the loaded encoder, and what prepares its inputs.
        queues: The queues in front of its towers.
        workers: The processes that decode images.
        threads: The thread pools.
        settings: The service's settings.
        admission: Knows when a refused request should come again.
        metrics: The service's metrics.
        on_not_finite: Called when an embedding is not a number.
    """

    def __init__(
        self,
        encoder: Processor,
        queues: Queues,
        workers: Workers,
        threads: Threads,
        settings: Settings,
        *,
        admission: Admission,
        metrics: Metrics,
        on_not_finite: Callable[[], None],
    ) -> None:
        self.encoder = encoder
        self._queues = queues
        self._workers = workers
        self._threads = threads
        self._settings = settings
        self._admission = admission
        self._metrics = metrics
        self._on_not_finite = on_not_finite
        self._texts: EmbeddingCache[Result] = EmbeddingCache(
            settings.text_cache_bytes - settings.text_cache_bytes // LISTS_SHARE,
            TEXT_OVERHEAD_BYTES,
            metrics.text_cache,
        )
        self._lists = LabelLists(settings.text_cache_bytes // LISTS_SHARE)
        self._images: EmbeddingCache[EmbeddedImage] = EmbeddingCache(
            settings.image_cache_bytes, IMAGE_OVERHEAD_BYTES, metrics.image_cache
        )
        metrics.text_cache.bytes.set_function(lambda: self._texts.bytes + self._lists.bytes)
        metrics.image_cache.bytes.set_function(lambda: self._images.bytes)

    async def embed_image(
        self, data: bytes | str, record: RequestRecord, *, frame: int = 0, pointer: str = "/image"
    ) -> EmbeddedImage:
        """Returns the embedding of an image file, given as its bytes or as base64.

        Args:
            data: The file. A frame that was embedded before is neither decoded nor computed again.
            record: Gets the time of each stage.
            frame: The frame or page, counted from 0.
            pointer: Where the file is in the request, for errors.

        Raises:
            ServiceError: It cannot be decoded; one of `IMAGE_ERRORS`.
            InternalError: The device failed.
        """
        try:
            image = await self._find_image(data, frame, record)
        except IMAGE_ERRORS as error:
            self._metrics.decode_failures.labels(error.code).inc()
            # A new error: other requests may wait for the same file, and have it at another place.
            raise type(error)(error.detail, [Fault(pointer, error.detail)]) from error
        record.time(decode=image.decode_s, queue=image.queue_s, image=image.compute_s)
        return image

    async def embed_images(
        self,
        files: Sequence[bytes | str],
        record: RequestRecord,
        *,
        frame: int = 0,
        pointer: str = "/images/{}",
    ) -> list[EmbeddedImage | ServiceError]:
        """Returns the embedding of each image file, or the error of a file that cannot be used."""

        async def attempt(index: int) -> EmbeddedImage | ServiceError:
            try:
                return await self.embed_image(files[index], record, frame=frame, pointer=pointer.format(index))
            except ServiceError as error:
                return error

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(attempt(index)) for index in range(len(files))]
        return [task.result() for task in tasks]

    async def _find_image(self, data: bytes | str, frame: int, record: RequestRecord) -> EmbeddedImage:
        if not self._settings.image_cache_bytes:
            return await self._compute_image(data, frame)
        on_loop = len(data) <= MAX_BYTES_ON_LOOP
        content, digest = with_digest(data) if on_loop else await self._threads.compute.run(with_digest, data)

        def compute(files: list[bytes]) -> list[asyncio.Future[EmbeddedImage]]:
            return [asyncio.ensure_future(self._compute_image(one, frame)) for one in files]

        key = b"%b %d %b" % (digest, frame, self._settings.color_profiles.encode())
        found = await self._images.get({key: content}, compute)
        record.count(image_cache_hits=found.hits)
        return found.results[key]

    async def _compute_image(self, data: bytes | str, frame: int) -> EmbeddedImage:
        def prepare() -> PreparedImage:
            return self._workers.prepare(file_bytes(data), frame)

        image = await self._threads.decode.run(prepare)
        self._metrics.preprocess_s.observe(image.decode_s)
        (future,) = self._queues.images.submit([image.pixels])
        try:
            result = await future
        except BatchFailed as error:
            raise InternalError("The device could not compute this image.") from error
        self._check_finite(result.row)
        return EmbeddedImage(result.row, image.facts, image.decode_s, result.queue_s, result.compute_s)

    async def embed_texts(self, texts: Sequence[str]) -> EmbeddedTexts:
        """Returns embeddings [N, E] of texts as they are. Cached texts are not computed again.

        Raises:
            Overloaded: The queue is full.
            InternalError: The device failed.
        """
        run = self._threads.compute_texts(len(texts))
        rows: list[np.ndarray] = []
        tokens, hits, misses = [], 0, 0
        for start in range(0, len(texts), MAX_TEXTS_AT_ONCE):
            tokens.append(await run(read_prompts, self.encoder, texts[start : start + MAX_TEXTS_AT_ONCE]))
            keys = tokens[-1].keys
            try:
                found = await self._texts.get(dict(zip(keys, tokens[-1].ids, strict=True)), self._queues.texts.submit)
            except QueueFull:
                raise Overloaded(self._admission.retry_after_s()) from None
            except BatchFailed as error:
                raise InternalError("The device could not compute these texts.") from error
            rows += [found.results[key].row for key in keys]
            hits, misses = hits + found.hits, misses + found.misses
        embeddings = await run(np.stack, rows)
        self._check_finite(embeddings)
        return EmbeddedTexts(embeddings, joined(tokens), hits, misses)

    async def embed_labels(self, labels: Sequence[str], templates: Sequence[str] | None = None) -> EmbeddedLabels:
        """Returns class embeddings [K, E]: for each label the mean over T templates; None is SigLIP's own template."""
        templates = templates or zero_shot.DEFAULT_TEMPLATES
        if known := self._lists.get(labels, templates):
            self._metrics.text_cache.hits.inc(known.hits)
            return known
        run = self._threads.compute_texts(len(labels) * len(templates))
        prompts = await run(zero_shot.prompts, labels, templates)
        found = await self.embed_texts(prompts)  # [K * T, E]

        def classes() -> EmbeddedLabels:
            by_label = found.embeddings.reshape(len(labels), len(templates), -1)
            warnings = label_warnings(self.encoder, labels, prompts, [len(templates)] * len(labels), found.tokens)
            return EmbeddedLabels(zero_shot.class_embeddings(by_label), warnings, found.hits, found.misses)

        embedded = await run(classes)
        self._lists.put(labels, templates, embedded)
        return embedded

    async def embed_prompts(self, prompts: Sequence[Sequence[str]]) -> np.ndarray:
        """Returns class embeddings [K, E]: for each label the mean over its own prompts."""
        embeddings = (await self.embed_texts(list(chain.from_iterable(prompts)))).embeddings
        return await self._threads.compute.run(prompt_means, embeddings, [len(own) for own in prompts])

    async def label_warnings(self, labels: Sequence[str], prompts: Sequence[Sequence[str]]) -> list[ResponseWarning]:
        """Returns the warnings about K labels, each with its prompts. Nothing is embedded."""
        return await self._threads.compute.run(prompt_warnings, self.encoder, labels, prompts)

    def scores(
        self, image_embedding: np.ndarray, weights: np.ndarray, biases: np.ndarray | None = None
    ) -> zero_shot.Scores:
        """Returns the scores of K classes [K, E] for an image [E]. Call it in a thread if K is large.

        Args:
            image_embedding: [E] float32.
            weights: [K, E]: class embeddings, or weights that were learnt from examples.
            biases: [K], of learnt classifiers; otherwise the model's bias is used.
        """
        bias = self.encoder.bias if biases is None else biases
        return zero_shot.scores(image_embedding, weights, self.encoder.scale, bias)

    def _check_finite(self, embeddings: np.ndarray) -> None:
        if not np.isfinite(embeddings).all():
            self._on_not_finite()
            raise InternalError("The model returned an embedding that is not a number.")
