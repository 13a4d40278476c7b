import asyncio

import pytest

from app.label_sets.completion import to_the_end

pytestmark = pytest.mark.anyio


async def test_a_started_write_is_awaited_even_if_cancelled_repeatedly():
    done = asyncio.Event()
    over = []

    async def work() -> None:
        await done.wait()
        over.append(True)
        raise ValueError("nobody reads this")

    waiting = asyncio.create_task(to_the_end(work()))
    for _ in range(3):  # at the deadline, when the client disconnects, when the service stops
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    done.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert over == [True]
