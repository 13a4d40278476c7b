"""One picture's way from the bytes that a client sent to its embedding, the same for every surface that takes one."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from fastapi import Request

from app.engine import Engine
from app.errors import Fault, ImageTooLarge, InvalidImage, ServiceError, UnsupportedMediaType
from app.pictures import read_picture
from app.schemas import ImageFacts


class EmbeddedPicture(NamedTuple):
    """An embedding, [E] float32, and what the client is told."""

    embedding: np.ndarray
    facts: ImageFacts


async def embed_picture(request: Request, data: bytes | str, pointer: str = "/image") -> EmbeddedPicture:
    """Returns the embedding of an image file, given as its bytes or as their base64.

    Raises:
        InvalidImage, ImageTooLarge, UnsupportedMediaType: It cannot be decoded; `pointer` says which one.
        Overloaded: The queue is full.
    """
    engine: Engine = request.app.state.engine
    try:
        picture = await engine.in_thread(read_picture, data, engine.encoder, request.app.state.settings)
    except (InvalidImage, ImageTooLarge, UnsupportedMediaType) as error:
        engine.metrics.decode_failed(error.code)
        error.faults = [Fault(pointer, error.detail)]
        raise
    engine.metrics.preprocess(picture.decode_s)
    result = await engine.embed_image(picture.pixels)
    timings_s = request.state.timings_s
    for name, seconds in (("decode", picture.decode_s), ("queue", result.queue_s), ("image", result.compute_s)):
        timings_s[name] = max(seconds, timings_s.get(name, 0.0))  # of several pictures, the slowest
    return EmbeddedPicture(result.row, picture.facts)


async def embed_pictures(
    request: Request, files: Sequence[bytes | str], pointer: str = "/images/{}"
) -> list[EmbeddedPicture | ServiceError]:
    """Returns what became of each of several pictures: one that cannot be used fails alone."""

    async def attempt(index: int) -> EmbeddedPicture | ServiceError:
        try:
            return await embed_picture(request, files[index], pointer.format(index))
        except ServiceError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(index)) for index in range(len(files))]
    return [task.result() for task in tasks]
