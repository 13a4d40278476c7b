"""Embeds and scores files without a service: decoded in worker processes ahead of the device, encoded in batches.

It uses the service's own functions, so its scores are the service's.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import NamedTuple

import numpy as np

from app.cli import CommandError, as_command_error
from app.cli.ahead import batches, map_ordered
from app.cli.files import NotScored, ReadableFile
from app.errors import ServiceError
from app.images.decode_worker import PreparedImage
from app.images.workers import WorkersError
from app.inference.acceptance import Tuning
from app.inference.encoder import Encoder
from app.inference.image_input import make_workers
from app.inference.scoring import prompt_means, scored_image
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyOptions, ImageFacts, ScoredImage
from app.settings import Settings
from model import zero_shot
from model.few_shot import Classifiers

Result = tuple[str, ScoredImage | NotScored]


class LocalEmbedding(NamedTuple):
    """An image's embedding, [E] float32, the SHA-256 of its file in hex, and the facts for its result."""

    row: np.ndarray
    sha256: str
    facts: ImageFacts


def embed_files(
    encoder: Encoder, settings: Settings, files: Iterable[ReadableFile], frame: int
) -> Iterator[tuple[str, LocalEmbedding | NotScored]]:
    """Yields each file's path with its embedding, or with the reason why it has none, in order.

    Raises:
        CommandError: The device failed, or the decode workers cannot be started.
    """

    def prepare(file: ReadableFile) -> tuple[str, tuple[PreparedImage, str] | NotScored]:
        try:
            content = file.read()
            return file.path, (workers.prepare(content, frame), hashlib.sha256(content).hexdigest())
        except NotScored as error:
            return file.path, error
        except ServiceError as error:
            return file.path, NotScored(error.detail)

    with closing(make_workers(encoder.preprocessor, settings)) as workers:
        with as_command_error(WorkersError):
            workers.start()
        images = map_ordered(prepare, files, threads=workers.processes, ahead=2 * settings.max_batch)
        for batch in batches(images, settings.max_batch):
            pixels = [found[0].pixels for _, found in batch if not isinstance(found, NotScored)]
            rows = iter(encode(encoder.encode_images, pixels) if pixels else ())
            for path, found in batch:
                if isinstance(found, NotScored):
                    yield path, found
                else:
                    image, sha256 = found
                    yield path, LocalEmbedding(next(rows), sha256, image.facts)


def results_of_model(
    encoder: Encoder,
    settings: Settings,
    files: Iterable[ReadableFile],
    classes: Classifiers,
    options: ClassifyOptions,
    tuning: Tuning | None = None,
) -> Iterator[Result]:
    """Yields each file's path with its scores, or with the reason why it has none, in order.

    Args:
        encoder: The model.
        settings: How images are decoded, and how many are computed at once.
        files: The files.
        classes: The classifiers of the labels.
        options: The labels, and which scores are shown.
        tuning: What was tuned for the labels.

    Raises:
        CommandError: The device failed.
    """
    for path, found in embed_files(encoder, settings, files, options.frame):
        if isinstance(found, NotScored):
            yield path, found
        else:
            scores = zero_shot.scores(found.row, classes.weights, encoder.scale, classes.biases)
            yield path, scored_image(found.facts, options.labels or [], scores, options, tuning)


def embed_definition(
    encoder: Encoder, settings: Settings, definition: LabelSetDefinition, on_stage: Callable[[str], None]
) -> np.ndarray:
    """Returns class embeddings [K, E].

    Raises:
        CommandError: The device failed.
    """
    prompts = definition.prompts
    token_ids = encoder.prepare_text(list(chain.from_iterable(prompts)))
    embeddings = []
    for start in range(0, len(token_ids), settings.max_batch):
        on_stage(f"labels, {start:,} of {len(token_ids):,} prompts")
        embeddings.append(encode(encoder.encode_texts, token_ids[start : start + settings.max_batch]))
    return prompt_means(np.concatenate(embeddings), [len(own) for own in prompts])


def encode(tower: Callable[[np.ndarray], np.ndarray], rows: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Returns the embeddings [B, E] of B prepared images or texts.

    Raises:
        CommandError: The device failed, or the embeddings are not finite.
    """
    try:
        embeddings = tower(np.asarray(rows))
    except Exception as error:  # TensorFlow's own, of many kinds, most often for lack of memory
        reason = str(error).partition("\n")[0]
        raise CommandError(
            f"the device cannot compute a batch of {len(rows)}, which SIGLIP_MAX_BATCH limits: {reason}"
        ) from error
    if not np.isfinite(embeddings).all():
        raise CommandError("the model returns embeddings that are not numbers: `siglip download` checks its files")
    return embeddings
