"""Image files to embeddings, by a local model or by a running service, in order and a few batches at a time.

Every file gets a result: its embedding, or the reason why it has none.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator

import numpy as np

from app.batch.ahead import map_ordered
from app.batch.files import NotScored, ReadableFile
from app.cli import CommandError
from app.cli.client import Refused, Service
from app.cli.embedding_files import EmbeddedFile
from app.cli.local import embed_files
from app.cli.remote import IMAGE_ERRORS
from app.cli.service_info import ServiceInfo
from app.inference.embeddings import LITTLE_ENDIAN_FLOAT32, EmbedBatchResponse, ImageEmbedding
from app.inference.encoder import Encoder
from app.schemas import FailedImage
from app.settings import Settings

ReadFile = tuple[str, bytes | NotScored]
Embedded = tuple[str, EmbeddedFile | NotScored]

REQUESTS_AT_ONCE = 4
IMAGES_PER_REQUEST = 16  # so that four requests fit into the service's queue
PART_BYTES = 1_000  # more than the headers of an image in a form


def embedded_by_model(
    encoder: Encoder, settings: Settings, files: Iterable[ReadableFile], frame: int
) -> Iterator[Embedded]:
    """Yields each file's path with its embedding, or with the reason why it has none.

    Raises:
        CommandError: The device failed.
    """
    for path, found in embed_files(encoder, settings, files, frame):
        yield path, found if isinstance(found, NotScored) else EmbeddedFile(path, found.sha256, found.row)


def embedded_by_service(
    service: Service, info: ServiceInfo, files: Iterable[ReadableFile], frame: int
) -> Iterator[Embedded]:
    """Yields each file's path with its embedding, or with the reason why it has none.

    Raises:
        CommandError: The service does not respond, refuses for a reason other than one image, or changes its model.
    """

    def ask(group: list[ReadFile]) -> list[Embedded]:
        contents = [content for _, content in group if isinstance(content, bytes)]
        rows = iter(requested(contents) if contents else ())
        return [
            (path, content if isinstance(content, NotScored) else embedded(path, content, next(rows)))
            for path, content in group
        ]

    def requested(contents: list[bytes]) -> list[np.ndarray | NotScored]:
        form = {"frame": str(frame), "encoding_format": "base64"}
        try:
            response = service.ask("POST", "/embed/batch", files=[("images", one) for one in contents], data=form)
        except Refused as error:
            if error.code not in IMAGE_ERRORS:
                raise
            if len(contents) == 1:
                return [NotScored(error.detail)]
            return [one for content in contents for one in requested([content])]  # only one of them may be the reason
        try:
            answer = EmbedBatchResponse.model_validate_json(response.content)
            rows = [embedding_of(result, info.embed_dim) for _, result in zip(contents, answer.results, strict=True)]
        except ValueError:  # also Pydantic's
            raise service.not_ours() from None
        if answer.model_fingerprint != info.model_fingerprint:
            raise CommandError("the service has changed its model: its model_fingerprint is not the one in /info")
        return rows

    groups = grouped(files, min(IMAGES_PER_REQUEST, info.limits.max_images), info.limits.max_body_bytes)
    for results in map_ordered(ask, groups, threads=REQUESTS_AT_ONCE, ahead=REQUESTS_AT_ONCE):
        yield from results


def embedded(path: str, content: bytes, row: np.ndarray | NotScored) -> EmbeddedFile | NotScored:
    """Returns a file's embedding [E] with its digest, or the reason why there is none."""
    return row if isinstance(row, NotScored) else EmbeddedFile(path, hashlib.sha256(content).hexdigest(), row)


def embedding_of(result: ImageEmbedding | FailedImage, embed_dim: int) -> np.ndarray | NotScored:
    """Returns the embedding [E] in a service's result for one image, or the reason why there is none.

    Raises:
        ValueError: It is not base64 of E numbers.
    """
    if isinstance(result, FailedImage):
        return NotScored(result.error.detail)
    return np.frombuffer(base64.b64decode(str(result.embedding)), LITTLE_ENDIAN_FLOAT32).reshape(embed_dim)


def grouped(files: Iterable[ReadableFile], max_images: int, max_body_bytes: int) -> Iterator[list[ReadFile]]:
    """Yields the read files in groups that fit into one request. A file that fits into none is alone."""
    group: list[ReadFile] = []
    group_bytes = 0
    for file in files:
        content = read(file)
        part_bytes = PART_BYTES + len(content) if isinstance(content, bytes) else 0
        if group and (len(group) == max_images or group_bytes + part_bytes > max_body_bytes):
            yield group
            group, group_bytes = [], 0
        group.append((file.path, content))
        group_bytes += part_bytes
    if group:
        yield group


def read(file: ReadableFile) -> bytes | NotScored:
    """Returns a file's bytes, or the reason why it cannot be read."""
    try:
        return file.read()
    except NotScored as error:
        return error
