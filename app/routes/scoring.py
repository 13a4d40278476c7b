"""What all scoring APIs share, so that a route only translates: embed the labels, score the images, build the response.

The request object ends here: `Scoring` takes the services and the record from it, and routes read the rest into values.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
from fastapi import Request, Response

from app.errors import InvalidRequest, ServiceError
from app.inference.acceptance import NOT_IN_FORCE, TunedImage, Tuning
from app.inference.embedder import Embedder
from app.inference.embeddings import ScoredEmbedding, TunedEmbedding, scored_embedding
from app.inference.engine import Engine
from app.inference.image_input import EmbeddedImage
from app.inference.scoring import scored_image
from app.label_sets.label_set import LabelSet
from app.label_sets.label_sets import LabelSets
from app.labels import LABELS_SPLIT, check_labels, check_templates
from app.observability.metrics import Metrics
from app.observability.record import RequestRecord
from app.schemas import (
    ClassifyOptions,
    FailedImage,
    LabelChoice,
    LabelOptions,
    ModelName,
    Problem,
    ResponseWarning,
    ScoredImage,
)
from app.settings import Settings

T = TypeVar("T")
U = TypeVar("U")


class Classes(NamedTuple):
    """K labels and their classifiers: class embeddings [K, E], or weights and biases [K] learnt from examples.

    Of a label set also its name, and what was tuned for it.
    """

    labels: Sequence[str]
    weights: np.ndarray
    biases: np.ndarray | None = None
    label_set: str = ""
    tuning: Tuning | None = None
    label_warnings: Sequence[ResponseWarning] = ()

    @property
    def warnings(self) -> list[ResponseWarning]:
        """What a reader of the scores must know."""
        return [*self.label_warnings, *([NOT_IN_FORCE] if self.tuning and not self.tuning.in_force else [])]


class Scoring:
    """Scores the images of one request.

    Args:
        request: The request. It is not kept.

    Raises:
        NotReady: The model is not loaded.
    """

    def __init__(self, request: Request) -> None:
        self.engine: Engine = request.app.state.engine
        self.embedder: Embedder = self.engine.embedder
        self.record: RequestRecord = request.state.record
        self._metrics: Metrics = request.app.state.metrics
        self._settings: Settings = request.app.state.settings
        self._label_sets: LabelSets = request.app.state.label_sets

    @property
    def model(self) -> ModelName:
        """The model's name in a response."""
        info = self.embedder.encoder.info
        return ModelName(variant=info.variant, weights=info.weights)

    async def classify_one(
        self,
        image: bytes | str,
        options: ClassifyOptions,
        content: Callable[[ScoredImage, list[ResponseWarning]], str],
    ) -> Response:
        """Returns the response for one image; `content` makes the API's JSON of scores and warnings, in a thread.

        Raises:
            ServiceError: The image or the labels cannot be used, or the queue is full.
        """
        with self.engine.admission.permit():
            classes, embedded = await together(
                self.embed_classes(options), self.embedder.embed_image(image, self.record, frame=options.frame)
            )

            def scored() -> str:
                return content(self.score(embedded, classes, options), classes.warnings)

            text = await self.engine.in_thread_if_many(len(classes.labels), scored)
        facts = embedded.facts
        self.record.facts.update(image=f"{facts.width}x{facts.height}", format=facts.format, labels=len(classes.labels))
        return Response(text, media_type="application/json")

    def stored_classes(self, name: str, label_set: LabelSet) -> Classes:
        """Returns the labels of a label set, with their embeddings."""
        if label_set.in_force is False:
            self._metrics.not_in_force.labels(self._metrics.label_set(name)).inc()
        return Classes(
            label_set.definition.names,
            label_set.weights,
            label_set.biases,
            name,
            label_set.tuning,
            label_set.label_warnings,
        )

    async def embed_classes(self, options: LabelChoice) -> Classes:
        """Returns the labels of a request, or those of its label set, with their embeddings.

        Raises:
            LabelSetNotFound: There is no set with this name.
            InvalidLabels: A label cannot be used.
            InvalidTemplate: A template cannot be used.
        """
        if options.label_set is not None:
            return self.stored_classes(options.label_set, await self._label_sets.get(options.label_set))
        started_s = time.perf_counter()
        labels = check_labels(options.labels or [], self._settings.max_labels)
        templates = None if options.templates is None else check_templates(options.templates, len(labels))
        found = await self.embedder.embed_labels(labels, templates)
        self.record.timings_s["text"] = time.perf_counter() - started_s
        self.record.count(cache_hits=found.hits, cache_misses=found.misses)
        split = [LABELS_SPLIT] if options.labels_split else []
        return Classes(labels, found.embeddings, label_warnings=[*split, *found.warnings])

    def score(self, image: EmbeddedImage, classes: Classes, options: ClassifyOptions) -> ScoredImage:
        """Returns one image's scores. Call it in a thread: 10,000 labels take tens of milliseconds."""
        scores = self.embedder.scores(image.row, classes.weights, classes.biases)
        scored = scored_image(image.facts, classes.labels, scores, options, classes.tuning)
        self._count(scored, classes)
        return scored

    def score_embedding(self, row: np.ndarray, classes: Classes, options: LabelOptions) -> ScoredEmbedding:
        """Returns the scores of one stored embedding [E]; see `score`."""
        scores = self.embedder.scores(row, classes.weights, classes.biases)
        scored = scored_embedding(classes.labels, scores, options, classes.tuning)
        self._count(scored, classes)
        return scored

    def _count(self, scored: ScoredImage | ScoredEmbedding, classes: Classes) -> None:
        if isinstance(scored, TunedImage | TunedEmbedding) and scored.accepted_labels == []:
            self._metrics.none_accepted.labels(self._metrics.label_set(classes.label_set)).inc()

    def failed(self, error: ServiceError) -> FailedImage:
        """Returns the result for one image of several that cannot be used."""
        return FailedImage(error=Problem(**error.problem(self.record.request_id)))

    def check_count(self, count: int, pointer: str) -> None:
        """Raises InvalidRequest if a request has no image, or too many."""
        if not 1 <= count <= self._settings.max_images:
            message = f"There are {count:,} images; send 1 to {self._settings.max_images:,}."
            raise InvalidRequest.at(pointer, message)


async def together(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Returns both results. If one fails, the other is cancelled, so that nothing is computed in vain."""
    tasks = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


@contextmanager
def remap_pointers(places: Mapping[str, str]) -> Iterator[None]:
    """Rewrites the JSON pointers of raised errors to an API's own field names.

    | places                                        | raised      | rewritten                        |
    |-----------------------------------------------|-------------|----------------------------------|
    | `{"/labels": "/parameters/candidate_labels"}` | `/labels/3` | `/parameters/candidate_labels/3` |
    | `{"/templates/0": "/template"}`               | `/labels/3` | `/labels/3`                      |
    """
    try:
        yield
    except ServiceError as error:
        error.faults = [fault._replace(pointer=remapped(fault.pointer, places)) for fault in error.faults]
        raise


def remapped(pointer: str, places: Mapping[str, str]) -> str:
    """Returns a pointer in an API's own field names; the first place that contains it counts."""
    for ours, theirs in places.items():
        if f"{pointer}/".startswith(f"{ours}/"):
            return theirs + pointer.removeprefix(ours)
    return pointer
