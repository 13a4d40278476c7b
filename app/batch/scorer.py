"""Computes chunks of a job on this machine, and stores their parts. Every runner uses this."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import NamedTuple

from app.batch.classifiers import embedded_classifiers
from app.batch.embedding import embed_files, started_workers
from app.batch.entries import Entry, readable
from app.batch.files import NotScored
from app.batch.inputs import LIST, PARQUET
from app.batch.job import Job, JobRequest
from app.batch.parts import Columns, PartRows, part_name
from app.batch.storage import is_url
from app.images.workers import Workers
from app.inference.acceptance import NOT_IN_FORCE, Tuning
from app.inference.encoder import Encoder
from app.inference.identity import model_fingerprint
from app.inference.label_warnings import prompt_warnings
from app.inference.scoring import scored_image
from app.label_sets.tuning import bind, make_tuning
from app.observability.logs import printable
from app.schemas import ResponseWarning
from model import zero_shot
from model.few_shot import Classifiers

READS_AT_ONCE = 16  # from a URL: a file in an object store takes tens of milliseconds. Here it costs 10 % of the rate
MAX_REPORTED = 10


class Report(NamedTuple):
    """A part that was stored: how many images it has, how many of them have no scores, and why some have none."""

    chunk: int
    num_images: int
    num_failed: int
    failures: list[str]
    """The first ones, each with the image's name."""


class Scorer(NamedTuple):
    """A loaded model with the labels of a job, and the processes that decode images."""

    request: JobRequest
    encoder: Encoder
    workers: Workers
    classes: Classifiers
    tuning: Tuning | None
    warnings: list[ResponseWarning]

    def store_parts(self, job: Job, chunks: Iterable[int]) -> Iterator[Report]:
        """Computes chunks, and yields a report of each one that is stored.

        Images of the next chunk are decoded while one is computed.

        Raises:
            BatchError: The device or the storage failed. What was stored stays.
        """
        begun: deque[tuple[int, int]] = deque()
        settings, listing = self.request.settings, job.chunks()

        def entries() -> Iterator[Entry]:
            for chunk in chunks:
                found = listing.chunk(chunk)
                begun.append((chunk, len(found)))
                yield from found

        results = embed_files(
            self.encoder,
            self.workers,
            readable(entries(), self.request.column),
            frame=self.request.options.frame,
            max_batch=settings.max_batch,
            threads=READS_AT_ONCE if self.may_read_urls else 0,
        )
        for first in results:
            chunk, size = begun.popleft()
            part, failures = PartRows(self.columns, self.metadata), []
            for path, found in chain([first], islice(results, size - 1)):
                if isinstance(found, NotScored):
                    part.add_failed(path, found)
                    failures.append(f"{printable(path)}: {found}")
                else:
                    scores = zero_shot.scores(found.row, self.classes.weights, self.encoder.scale, self.classes.biases)
                    options, labels = self.request.options, self.request.definition.names
                    part.add(path, scored_image(found.facts, labels, scores, options, self.tuning), found)
            job.folder.write(part_name(chunk), part.content())
            yield Report(chunk, size, len(failures), failures[:MAX_REPORTED])

    @property
    def may_read_urls(self) -> bool:
        """Whether the inputs are at URLs, or may name URLs."""
        return any(is_url(given) or given.endswith((LIST, PARQUET)) for given in self.request.inputs)

    @property
    def columns(self) -> Columns:
        """The columns of the parts. They do not depend on the images."""
        definition = self.request.definition
        calibrated = any(getattr(part, "calibration", None) is not None for part in (definition, *definition.labels))
        return Columns(calibrated, self.encoder.info.embed_dim if self.request.embeddings else None)

    @property
    def metadata(self) -> dict[str, str]:
        """What each part says about the model, as files of embeddings do."""
        info = self.encoder.info
        fingerprint = model_fingerprint(info, self.request.settings)
        return {"model_fingerprint": fingerprint, "model": f"{info.variant} {info.weights}"}


@contextmanager
def make_scorer(request: JobRequest, encoder: Encoder, on_stage: Callable[[str], None]) -> Iterator[Scorer]:
    """Yields what computes a job's chunks on this machine.

    Args:
        request: The job.
        encoder: The loaded model.
        on_stage: Called with the current stage.

    Raises:
        BatchMistake: The label set has examples that cannot be used.
        BatchError: The device failed, or the decode workers cannot be started.
    """
    settings = request.settings
    fingerprint = model_fingerprint(encoder.info, settings)
    definition = bind(request.definition, fingerprint)
    tuning = make_tuning(definition, fingerprint)
    warnings = prompt_warnings(encoder, definition.names, definition.prompts)
    if tuning and not tuning.in_force:
        warnings = [*warnings, NOT_IN_FORCE]
    classes = embedded_classifiers(encoder, settings, definition, on_stage)
    with started_workers(encoder, settings) as workers:
        yield Scorer(request, encoder, workers, classes, tuning, warnings)
