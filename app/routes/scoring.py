"""What every surface that scores shares, so that it only translates: labels embedded, a picture scored, the answer."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from fastapi import Request, Response

from app.errors import Fault, InvalidRequest, ServiceError
from app.inference.engine import Engine, together
from app.inference.image_input import EmbeddedImage
from app.inference.scoring import scored_image
from app.label_sets.store import LabelSets
from app.labels import check_labels, check_templates
from app.routes.pictures import embed_image_file
from app.schemas import ClassifyOptions, FailedImage, Problem, ScoredImage


class Classes(NamedTuple):
    """What an image may be: K labels, and their embeddings [K, E]."""

    labels: Sequence[str]
    embeddings: np.ndarray


async def classify_one(
    request: Request, image: bytes | str, options: ClassifyOptions, content: Callable[[ScoredImage], str]
) -> Response:
    """Returns the answer for one image; `content` puts its scores into the surface's JSON, in a thread.

    Raises:
        ServiceError: The image or the labels cannot be used, or the queue is full.
    """
    engine: Engine = request.app.state.engine
    with engine.admission.permit():
        classes, picture = await together(embed_classes(request, options), embed_image_file(request, image))
        scored = await engine.in_thread(score, engine, picture, classes, options)
        text = await engine.in_thread(content, scored)
    request.state.facts.update(
        image=f"{picture.facts.width}x{picture.facts.height}", format=picture.facts.format, labels=len(classes.labels)
    )
    return Response(text, media_type="application/json")


async def embed_classes(request: Request, options: ClassifyOptions) -> Classes:
    """Returns the labels that a request names, or those of its label set, embedded.

    Raises:
        LabelSetNotFound: There is no set of this name.
        InvalidLabels: A label cannot be used.
        InvalidTemplate: A template cannot be used.
    """
    engine: Engine = request.app.state.engine
    started_s = time.perf_counter()
    if options.label_set is not None:
        label_sets: LabelSets = request.app.state.label_sets
        label_set = label_sets.get(options.label_set)
        return Classes(label_set.definition.names, label_set.embeddings)
    labels = check_labels(options.labels or [], request.app.state.settings.max_labels)
    templates = None if options.templates is None else check_templates(options.templates, len(labels))
    found = await engine.embed_labels(labels, templates)
    request.state.timings_s["text"] = time.perf_counter() - started_s
    facts = request.state.facts
    for name, count in (("cache_hits", found.hits), ("cache_misses", found.misses)):
        facts[name] = facts.get(name, 0) + count  # a request may have several lists of labels
    return Classes(labels, found.embeddings)


def score(engine: Engine, picture: EmbeddedImage, classes: Classes, options: ClassifyOptions) -> ScoredImage:
    """Returns one image's scores as the client gets them. For a thread: 10,000 labels take tens of milliseconds."""
    classification = engine.classify(picture.row, classes.embeddings)
    return scored_image(picture.facts, classes.labels, classification, options)


def failed(request: Request, error: ServiceError) -> FailedImage:
    """Returns what stands for one image of several that could not be used."""
    return FailedImage(error=Problem(**error.problem(request.state.request_id)))


def check_count(request: Request, count: int, pointer: str) -> None:
    """Refuses a request with no image, or with more than one request may have.

    Raises:
        InvalidRequest: There are so many.
    """
    max_images: int = request.app.state.settings.max_images
    if not 1 <= count <= max_images:
        message = f"There are {count:,} images; send 1 to {max_images:,}."
        raise InvalidRequest(message, [Fault(pointer, message)])


@contextmanager
def remap_pointers(places: Mapping[str, str]) -> Iterator[None]:
    """Turns the pointers of what is raised inside from our own fields to those of another surface's body.

    | places                                        | raised      | told                             |
    |-----------------------------------------------|-------------|----------------------------------|
    | `{"/labels": "/parameters/candidate_labels"}` | `/labels/3` | `/parameters/candidate_labels/3` |
    | `{"/templates/0": "/template"}`               | `/labels/3` | `/labels/3`                      |
    """
    try:
        yield
    except ServiceError as error:
        error.faults = [fault._replace(pointer=turned(fault.pointer, places)) for fault in error.faults]
        raise


def turned(pointer: str, places: Mapping[str, str]) -> str:
    """Returns where a pointer leads in another surface's body; the first place that holds it counts."""
    for ours, theirs in places.items():
        if f"{pointer}/".startswith(f"{ours}/"):
            return theirs + pointer.removeprefix(ours)
    return pointer
