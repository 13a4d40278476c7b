"""Scores labelled images with one encoder after the other, each with all wordings that are asked of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.batch.files import NotScored
from app.cli.classify import Load, loaded
from app.cli.client import Service
from app.cli.evaluate.labelled_files import embedded
from app.cli.evaluate.towers import EncoderFacts, Towers, local_towers, remote_towers
from app.evaluation.embedding_cache import EmbeddingFileCache
from app.evaluation.truth import LabelledImage
from app.label_sets.definition import LabelSetDefinition
from app.settings import Settings


class Run(NamedTuple):
    """One encoder, and the wordings that it scores, by their place in the results."""

    settings: Settings
    server: str | None
    wordings: dict[int, LabelSetDefinition]


class ScoredFiles(NamedTuple):
    """The scores of M different files."""

    logits: list[np.ndarray]
    """Of each wording, [M, K]; a file without an embedding has NaN."""
    faults: dict[str, NotScored]
    """SHA-256 of a file without an embedding -> the reason."""
    facts: list[EncoderFacts]
    """The encoder of each wording."""


def score_files(
    runs: Sequence[Run],
    files: Mapping[str, LabelledImage],
    load: Load,
    cache_folder: Path | None,
    bar: tqdm,
    check: Callable[[EncoderFacts], None],
) -> ScoredFiles:
    """Returns the scores of all wordings. Each encoder is loaded once, and only one at a time is in memory.

    Args:
        runs: The encoders and their wordings.
        files: SHA-256 in hex -> an image with that file, M.
        load: Loads an encoder.
        cache_folder: Where embeddings are kept, or None.
        bar: Shows the progress.
        check: Called with each encoder before images are embedded; may raise.

    Raises:
        CommandError: An encoder cannot be loaded or fails, or a service does not respond.
        CacheError: The cache cannot be used.
    """
    logits: dict[int, np.ndarray] = {}
    facts: dict[int, EncoderFacts] = {}
    faults: dict[str, NotScored] = {}
    for run in runs:
        with open_towers(run, load, bar) as towers:
            check(towers.facts)
            # Before the images: a wording that the device cannot embed shall not cost the time for them.
            classes = {place: towers.embed_labels(words, bar.set_description) for place, words in run.wordings.items()}
            rows = _embedded(towers, files, cache_folder, bar)
        faults |= {digest: row for digest, row in rows.items() if isinstance(row, NotScored)}
        nothing = np.full(towers.facts.embed_dim, np.nan, np.float32)
        matrix = np.stack([row if isinstance(row := rows[digest], np.ndarray) else nothing for digest in files])
        for place, own in classes.items():
            logits[place] = towers.facts.logits(matrix, run.wordings[place], own)
            facts[place] = towers.facts
        del towers
    order = sorted(logits)
    return ScoredFiles([logits[place] for place in order], faults, [facts[place] for place in order])


def _embedded(
    towers: Towers, files: Mapping[str, LabelledImage], cache_folder: Path | None, bar: tqdm
) -> dict[str, np.ndarray | NotScored]:
    if cache_folder is None:
        return embedded(towers, files, None, bar)
    with EmbeddingFileCache(cache_folder, towers.facts.cache_key, towers.facts.embed_dim) as cache:
        return embedded(towers, files, cache, bar)


@contextmanager
def open_towers(run: Run, load: Load, bar: tqdm) -> Iterator[Towers]:
    """Yields a run's encoder.

    Raises:
        CommandError: It cannot be loaded, or the service does not respond.
    """
    with ExitStack() as stack:
        if run.server:
            service = stack.enter_context(Service(run.server, run.settings.read_keys()))
            yield remote_towers(service, run.server)
        else:
            yield local_towers(loaded(load, run.settings, bar.set_description), run.settings)
