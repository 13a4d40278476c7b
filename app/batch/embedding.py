"""Files and labels to embeddings on this machine: decoded in worker processes ahead of the device, encoded in batches.

It uses the service's own functions, so its embeddings are the service's.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import NamedTuple

import numpy as np

from app.batch import BatchError
from app.batch.ahead import batches, map_ordered
from app.batch.files import NotScored, ReadableFile
from app.errors import ServiceError
from app.images.decode_worker import PreparedImage
from app.images.workers import Workers, WorkersError
from app.inference.encoder import Encoder
from app.inference.image_input import make_workers
from app.inference.scoring import prompt_means
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ImageFacts
from app.settings import Settings


class LocalEmbedding(NamedTuple):
    """An image's embedding, [E] float32, the SHA-256 of its file in hex, and the facts for its result."""

    row: np.ndarray
    sha256: str
    facts: ImageFacts


Embedded = tuple[str, LocalEmbedding | NotScored]


@contextmanager
def started_workers(encoder: Encoder, settings: Settings) -> Iterator[Workers]:
    """Yields the worker processes that decode images.

    Raises:
        BatchError: They cannot be started.
    """
    workers = make_workers(encoder.preprocessor, settings)
    try:
        try:
            workers.start()
        except WorkersError as error:
            raise BatchError(str(error)) from error
        yield workers
    finally:
        workers.close()


def embed_files(
    encoder: Encoder, workers: Workers, files: Iterable[ReadableFile], *, frame: int, max_batch: int, threads: int = 0
) -> Iterator[Embedded]:
    """Yields each file's path with its embedding, or with the reason why it has none, in order.

    Args:
        encoder: The model.
        workers: Decode the images.
        files: The files.
        frame: The frame or page of each file.
        max_batch: How many images are computed at once.
        threads: How many files are read at once, if it is more than can be decoded at once.

    Raises:
        BatchError: The device failed.
    """

    def prepare(file: ReadableFile) -> tuple[str, tuple[PreparedImage, str] | NotScored]:
        try:
            content = file.read()
            return file.path, (workers.prepare(content, frame), hashlib.sha256(content).hexdigest())
        except NotScored as error:
            return file.path, error
        except ServiceError as error:
            return file.path, NotScored(error.detail)

    images = map_ordered(prepare, files, threads=max(threads, workers.processes), ahead=2 * max_batch)
    for batch in batches(images, max_batch):
        pixels = [found[0].pixels for _, found in batch if not isinstance(found, NotScored)]
        rows = iter(encode(encoder.encode_images, pixels) if pixels else ())
        for path, found in batch:
            if isinstance(found, NotScored):
                yield path, found
            else:
                image, sha256 = found
                yield path, LocalEmbedding(next(rows), sha256, image.facts)


def embed_labels(
    encoder: Encoder, definition: LabelSetDefinition, max_batch: int, on_stage: Callable[[str], None]
) -> np.ndarray:
    """Returns class embeddings [K, E].

    Raises:
        BatchError: The device failed.
    """
    prompts = definition.prompts
    token_ids = encoder.prepare_text(list(chain.from_iterable(prompts)))
    embeddings = []
    for start in range(0, len(token_ids), max_batch):
        on_stage(f"labels, {start:,} of {len(token_ids):,} prompts")
        embeddings.append(encode(encoder.encode_texts, token_ids[start : start + max_batch]))
    return prompt_means(np.concatenate(embeddings), [len(own) for own in prompts])


def encode(tower: Callable[[np.ndarray], np.ndarray], rows: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
    """Returns the embeddings [B, E] of B prepared images or texts.

    Raises:
        BatchError: The device failed, or the embeddings are not finite.
    """
    try:
        embeddings = tower(np.asarray(rows))
    except Exception as error:  # TensorFlow's own, of many kinds, most often for lack of memory
        reason = str(error).partition("\n")[0]
        raise BatchError(
            f"the device cannot compute a batch of {len(rows)}, which SIGLIP_MAX_BATCH limits: {reason}"
        ) from error
    if not np.isfinite(embeddings).all():
        raise BatchError("the model returns embeddings that are not numbers: `siglip download` checks its files")
    return embeddings
