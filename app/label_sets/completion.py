"""Work that ends even if its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Returns the result of the work. If the caller is cancelled, the work still ends before the error is raised."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:  # can happen twice: at the deadline, and when the client disconnects
            cancelled = error
    if cancelled:
        task.exception()  # marks it as retrieved; it is in the log already
        raise cancelled
    return task.result()
