"""Embeds and scores files without a service; see `app.batch.embedding`. Errors end the command."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from app.batch import BatchError, embedding
from app.batch.embedding import Embedded, started_workers
from app.batch.files import NotScored, ReadableFile
from app.cli import as_command_error
from app.inference.acceptance import Tuning
from app.inference.encoder import Encoder
from app.inference.scoring import scored_image
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyOptions, ScoredImage
from app.settings import Settings
from model import zero_shot
from model.few_shot import Classifiers

Result = tuple[str, ScoredImage | NotScored]


def embed_files(encoder: Encoder, settings: Settings, files: Iterable[ReadableFile], frame: int) -> Iterator[Embedded]:
    """Yields each file's path with its embedding, or with the reason why it has none, in order.

    Raises:
        CommandError: The device failed, or the decode workers cannot be started.
    """
    with as_command_error(BatchError), started_workers(encoder, settings) as workers:
        yield from embedding.embed_files(encoder, workers, files, frame=frame, max_batch=settings.max_batch)


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
    with as_command_error(BatchError):
        return embedding.embed_labels(encoder, definition, settings.max_batch, on_stage)
