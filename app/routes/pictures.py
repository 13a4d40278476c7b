"""One picture's way from the bytes that a client sent to its embedding, the same for every surface that takes one."""

import asyncio
from collections.abc import Sequence

from fastapi import Request

from app.errors import Fault, ImageTooLarge, InvalidImage, ServiceError, UnsupportedMediaType
from app.inference.engine import Engine
from app.inference.image_input import EmbeddedImage, prepare_image, read_file
from app.settings import Settings

MAX_BYTES_AT_ONCE = 65_536  # their digest takes a twentieth of a millisecond, their base64 a third: less than a thread


async def embed_image_file(request: Request, data: bytes | str, pointer: str = "/image") -> EmbeddedImage:
    """Returns the embedding of an image file, given as its bytes or as their base64; a known file costs nothing.

    Raises:
        InvalidImage, ImageTooLarge, UnsupportedMediaType: It cannot be decoded; `pointer` says which one.
    """
    engine: Engine = request.app.state.engine
    settings: Settings = request.app.state.settings
    facts = request.state.facts
    try:
        if settings.image_cache_bytes:
            picture, known = await find_image(engine, settings, data)
            facts["image_cache_hits"] = facts.get("image_cache_hits", 0) + known
        else:
            picture = await compute_image(engine, settings, data)
    except (InvalidImage, ImageTooLarge, UnsupportedMediaType) as error:
        engine.metrics.decode_failed(error.code)
        # Its own, for others may wait for the same file and call it by another pointer.
        raise type(error)(error.detail, [Fault(pointer, error.detail)]) from error
    timings_s = request.state.timings_s
    stages = {"decode": picture.decode_s, "queue": picture.queue_s, "image": picture.compute_s}
    for name, seconds in stages.items():
        timings_s[name] = max(seconds, timings_s.get(name, 0.0))  # of several pictures, the slowest
    return picture


async def find_image(engine: Engine, settings: Settings, data: bytes | str) -> tuple[EmbeddedImage, bool]:
    """Returns a picture from the cache, which has it computed if need be, and whether it was there."""
    file = read_file(data) if len(data) <= MAX_BYTES_AT_ONCE else await engine.in_thread(read_file, data)

    def compute(files: list[bytes]) -> list[asyncio.Future[EmbeddedImage]]:
        return [asyncio.ensure_future(compute_image(engine, settings, one)) for one in files]

    found = await engine.image_cache.get({file.digest: file.data}, compute)
    return found.results[file.digest], bool(found.hits)


async def compute_image(engine: Engine, settings: Settings, data: bytes | str) -> EmbeddedImage:
    """Returns a picture decoded and embedded."""
    picture = await engine.in_decoder(prepare_image, data, engine.encoder, settings)
    engine.metrics.preprocess(picture.decode_s)
    result = await engine.embed_image(picture.pixels)
    return EmbeddedImage(result.row, picture.facts, picture.decode_s, result.queue_s, result.compute_s)


async def embed_image_files(
    request: Request, files: Sequence[bytes | str], pointer: str = "/images/{}"
) -> list[EmbeddedImage | ServiceError]:
    """Returns what became of each of several pictures: one that cannot be used fails alone."""

    async def attempt(index: int) -> EmbeddedImage | ServiceError:
        try:
            return await embed_image_file(request, files[index], pointer.format(index))
        except ServiceError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(index)) for index in range(len(files))]
    return [task.result() for task in tasks]
