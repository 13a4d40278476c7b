"""Labelled images to embeddings: each different file is read, decoded and computed once, and kept in a cache."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]  # it has no types

from app.batch.ahead import map_ordered
from app.batch.files import MAX_FILE_BYTES, ImageFile, NotScored
from app.cli.embedding_files import EmbeddedFile
from app.cli.evaluate.towers import Towers
from app.errors import ServiceError
from app.evaluation.embedding_cache import EmbeddingFileCache
from app.evaluation.truth import LabelledImage
from app.images.identify import identify

READS_AT_ONCE = 4
ROWS_PER_WRITE = 256  # to the cache: what an interrupted run loses at most


class LabelledFile(NamedTuple):
    """A labelled image as a command reads it; it may be a member of a tar file."""

    image: LabelledImage

    @property
    def path(self) -> str:
        """Its name in results."""
        return self.image.name

    def read(self) -> bytes:
        """Returns the bytes of an image file in an accepted format.

        Raises:
            NotScored: It is not one, cannot be read, or is too large.
        """
        part = self.image.part
        if self.image.fault or part is None:
            return ImageFile(self.image.name, self.image.fault).read()
        if part.size > MAX_FILE_BYTES:
            raise NotScored(f"The file has {part.size:,} bytes; at most {MAX_FILE_BYTES:,} are read.")
        try:
            with self.image.file.open("rb") as file:
                file.seek(part.start)
                content = file.read(part.size)
            identify(content)
        except ServiceError as error:
            raise NotScored(error.detail) from None
        except OSError as error:
            raise NotScored(error.strerror or str(error)) from None
        return content


def file_digests(images: Iterable[LabelledImage], bar: tqdm) -> list[str | NotScored]:
    """Returns the SHA-256 of each file, in hex, or the reason why it cannot be used."""

    def digest(image: LabelledImage) -> str | NotScored:
        try:
            return hashlib.sha256(LabelledFile(image).read()).hexdigest()
        except NotScored as error:
            return error

    bar.set_description("reading")
    found = []
    for one in map_ordered(digest, images, threads=READS_AT_ONCE, ahead=2 * READS_AT_ONCE):
        found.append(one)
        bar.update()
    return found


def embedded(
    towers: Towers, files: Mapping[str, LabelledImage], cache: EmbeddingFileCache | None, bar: tqdm
) -> dict[str, np.ndarray | NotScored]:
    """Returns the embedding [E] of each file, or the reason why it has none.

    Args:
        towers: The encoder.
        files: SHA-256 in hex -> an image with that file.
        cache: Where embeddings are looked up and kept, or None.
        bar: Shows how many files are done.

    Raises:
        CommandError: The device or the service failed. What was computed by then is in the cache.
        CacheError: The cache cannot be used.
    """
    found: dict[str, np.ndarray | NotScored] = {}
    found |= cache.get(list(files)) if cache else {}
    bar.reset(len(files))
    bar.set_description("embedding")
    bar.update(len(found))
    missing = {digest: image for digest, image in files.items() if digest not in found}
    if not missing:
        return found
    results = _computed(towers, missing)
    while some := dict(_until_failure(islice(results, ROWS_PER_WRITE), cache, bar)):
        found |= some
    return found


def _computed(towers: Towers, files: Mapping[str, LabelledImage]) -> Iterator[tuple[str, np.ndarray | NotScored]]:
    """Yields the embedding of each file, or the reason why it has none."""
    results = towers.embed_images(LabelledFile(image) for image in files.values())
    for digest, (_, result) in zip(files, results, strict=True):
        if isinstance(result, EmbeddedFile) and result.sha256 != digest:
            yield digest, NotScored("The file has changed while it was read.")
        else:
            yield digest, result.row if isinstance(result, EmbeddedFile) else result


def _until_failure(
    results: Iterable[tuple[str, np.ndarray | NotScored]], cache: EmbeddingFileCache | None, bar: tqdm
) -> list[tuple[str, np.ndarray | NotScored]]:
    """Returns the results, and writes them to the cache, also if an error or Ctrl-C ends them."""
    found = []
    try:
        for result in results:
            found.append(result)
            bar.update()
    finally:
        if cache:
            cache.put((digest, row) for digest, row in found if isinstance(row, np.ndarray))
    return found
