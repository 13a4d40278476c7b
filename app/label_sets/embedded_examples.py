"""Examples as a client sends them -> as a set keeps them: images are embedded, and references are looked up."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from app.errors import MAX_FAULTS, Fault, InvalidLabels, InvalidRequest, OtherEncoder, ServiceError
from app.inference.embedder import Embedder
from app.inference.image_input import file_bytes
from app.label_sets.definition import (
    LabelDefinition,
    LabelSetDefinition,
    own_examples,
    own_members,
    with_labels,
    with_members,
)
from app.label_sets.examples import KINDS, MAX_LABEL_EXAMPLES, Example, embedding_of, stored_example
from app.observability.record import RequestRecord
from app.settings import Settings
from model import few_shot


class Place(NamedTuple):
    """Where an example is in a definition."""

    label: int
    kind: str
    number: int

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return f"/labels/{self.label}/{self.kind}/{self.number}"


async def embed_examples(
    definition: LabelSetDefinition,
    known: Iterable[Example],
    fingerprints: tuple[str, str],
    embedder: Embedder,
    settings: Settings,
    record: RequestRecord,
) -> LabelSetDefinition:
    """Returns the definition with all examples as they are stored. An image that occurs twice in a label counts once.

    Args:
        definition: What was sent.
        known: The examples that the set has.
        fingerprints: The model that the set is for, and this service's.
        embedder: Embeds the images.
        settings: The limits.
        record: Gets the times.

    Raises:
        InvalidLabels: There are too many examples, a digest is unknown, or an embedding is not one.
        InvalidRequest: There are too many images.
        OtherEncoder: An example is of another model than the set.
        ServiceError: An image cannot be used; one of `IMAGE_ERRORS`. All such images are named.
    """
    if not definition.examples:
        return definition
    sent = dict(places(definition))
    check_counts(definition, len(sent), settings.max_examples)
    images = {place: example for place, example in sent.items() if not isinstance(example, Example)}
    if len(images) > settings.max_images:
        raise InvalidRequest(
            f"There are {len(images):,} images; send at most {settings.max_images:,}. "
            "Store the set first, then add examples label by label."
        )
    of_set, ours = fingerprints
    if images and of_set != ours:
        raise OtherEncoder(
            "tuned_for names another model than this service's, which cannot embed images for it.", "/tuned_for"
        )
    kept = {example.digest: example for example in known if example.model_fingerprint == of_set}
    found = {
        place: checked_example(place, example, kept, of_set, embedder.encoder.info.embed_dim)
        for place, example in sent.items()
        if isinstance(example, Example)
    }
    found |= await embed_images(images, ours, embedder, record)
    return with_examples(definition, {place: found[place] for place in sent})


def num_images(definition: LabelSetDefinition) -> int:
    """Returns how many examples are images, which must be embedded."""
    return sum(not isinstance(example, Example) for example in definition.examples)


def places(definition: LabelSetDefinition) -> Iterator[tuple[Place, str | bytes | Example]]:
    """Yields each example and where it is."""
    for number, label in enumerate(definition.labels):
        for kind in KINDS:
            for index, example in enumerate(own_examples(label, kind)):
                yield Place(number, kind, index), example


def check_counts(definition: LabelSetDefinition, total: int, max_examples: int) -> None:
    """Raises InvalidLabels if a label or the set has too many examples."""
    if total > max_examples:
        detail = f"The set has {total:,} examples and counterexamples; at most {max_examples:,} are accepted."
        raise InvalidLabels.at("/labels", detail)
    for number, label in enumerate(definition.labels):
        for kind in KINDS:
            if (count := len(own_examples(label, kind))) > MAX_LABEL_EXAMPLES:
                detail = f"Label {number + 1:,} has {count:,} {kind}; at most {MAX_LABEL_EXAMPLES:,} are accepted"
                raise InvalidLabels.at(f"/labels/{number}/{kind}", detail)


def checked_example(
    place: Place, example: Example, known: Mapping[str | None, Example], fingerprint: str, embed_dim: int
) -> Example:
    """Returns an example that was sent as its digest or embedding, as it is stored."""
    if example.digest in known:
        return known[example.digest]
    if example.embedding is None:
        message = "The set has no example with this digest for this model. Send the image"
        raise InvalidLabels.at(place.pointer, message)
    if example.model_fingerprint is None:
        message = "An embedding needs the model_fingerprint of its encoder, as in GET /info"
        raise InvalidLabels.at(place.pointer, message)
    if example.model_fingerprint != fingerprint:
        raise OtherEncoder("The embedding of an example is of another model than the set.", place.pointer)
    try:
        return stored_example(embedding_of(example, embed_dim), fingerprint, example.digest)
    except ValueError as error:
        message = f"Example {place.number + 1:,} of label {place.label + 1:,} {error}"
        raise InvalidLabels.at(place.pointer, message) from None


async def embed_images(
    images: Mapping[Place, str | bytes], fingerprint: str, embedder: Embedder, record: RequestRecord
) -> dict[Place, Example]:
    """Returns the example of each image. If some cannot be used, one error names them all."""
    embedded = await embedder.embed_images(list(images.values()), record)
    failed = [(place, error) for place, error in zip(images, embedded, strict=True) if isinstance(error, ServiceError)]
    if failed:
        first = failed[0][1]
        faults = [Fault(place.pointer, error.detail) for place, error in failed]
        raise type(first)(first.detail, faults[:MAX_FAULTS])
    rows = [image.row for image in embedded if not isinstance(image, ServiceError)]
    return {
        place: stored_example(row, fingerprint, hashlib.sha256(file_bytes(data)).hexdigest())
        for (place, data), row in zip(images.items(), rows, strict=True)
    }


def with_examples(definition: LabelSetDefinition, found: Mapping[Place, Example]) -> LabelSetDefinition:
    """Returns the definition with these examples instead of its own.

    Raises:
        InvalidLabels: An image is an example and a counterexample of one label.
    """
    own: dict[tuple[int, str], dict[str | None, Example]] = {}
    for place, example in found.items():
        own.setdefault((place.label, place.kind), {})[example.digest] = example
        if place.kind == "counterexamples" and example.digest in own.get((place.label, "examples"), {}):
            message = f"An image is an example and a counterexample of label {place.label + 1:,}. Send it as one"
            raise InvalidLabels.at(place.pointer, message)
    labels: list[str | LabelDefinition] = []
    for number, label in enumerate(definition.labels):
        kinds = {kind: list(own[number, kind].values()) for kind in KINDS if (number, kind) in own}
        labels.append(with_members(label, own_members(label) | kinds))
    return with_labels(definition, labels)


def learnt(definition: LabelSetDefinition, embeddings: np.ndarray, scale: float, bias: float) -> few_shot.Classifiers:
    """Returns the classifiers of a set with examples.

    Args:
        definition: A definition that `embed_examples` returned.
        embeddings: The class embeddings, [K, E].
        scale: The model's temperature.
        bias: The model's bias.

    Raises:
        ValueError: A stored embedding is damaged.
    """
    width = embeddings.shape[1]
    groups = [
        [
            np.array([embedding_of(example, width) for example in own_examples(label, kind)]).reshape(-1, width)
            for label in definition.labels
        ]
        for kind in KINDS
    ]
    return few_shot.fit(np.asarray(embeddings), scale, bias, *groups)
