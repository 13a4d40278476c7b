import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from app.inference.watchdog import LIVE_INTERVALS, READY_INTERVALS, Watchdog

pytestmark = pytest.mark.anyio


class Device:
    """A device that answers the canary, fails or hangs, and its clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.canaries = 0
        self.works = True
        self.answers = asyncio.Event()
        self.answers.set()

    async def canary(self) -> None:
        self.canaries += 1
        await self.answers.wait()
        if not self.works:
            raise RuntimeError("the GPU has fallen off the bus")


@pytest.fixture
async def device() -> Device:
    return Device()


@pytest.fixture
async def watchdog(device) -> AsyncIterator[Watchdog]:
    """A watchdog with an interval of 10 ms.

    It sleeps by the clock of the event loop, and measures idle time by the clock of the device.
    """
    watchdog = Watchdog(device.canary, 0.01, lambda: device.now_s)
    watching = asyncio.create_task(watchdog.watch())
    yield watchdog
    watching.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_an_idle_device_gets_a_canary(device, watchdog):
    device.now_s += 0.01
    await until(lambda: device.canaries == 1)
    assert watchdog.unready_reason is None


async def test_a_busy_device_gets_no_canary(device, watchdog):
    for _ in range(10):
        watchdog.record_success()
        await asyncio.sleep(0.002)
    assert device.canaries == 0


async def test_a_failing_device_makes_the_service_unready_until_it_answers_again(device, watchdog):
    device.works = False
    watchdog.suspect()
    await until(lambda: watchdog.unready_reason is not None)
    assert watchdog.unready_reason == "a forward pass on the device has failed (RuntimeError)"
    assert not watchdog.lost
    device.works = True
    await until(lambda: watchdog.unready_reason is None)


async def test_a_successful_forward_counts_like_a_canary(device, watchdog):
    device.works = False
    watchdog.suspect()
    await until(lambda: watchdog.unready_reason is not None)
    device.answers.clear()
    watchdog.record_success()
    assert watchdog.unready_reason is None


async def test_a_failure_that_the_canary_does_not_confirm_changes_nothing(device, watchdog):
    watchdog.suspect()
    await until(lambda: device.canaries == 1)
    assert watchdog.unready_reason is None


async def test_a_hung_device_makes_the_service_unready_and_is_then_lost(device, watchdog):
    device.answers.clear()
    watchdog.suspect()
    await until(lambda: device.canaries == 1)
    device.now_s = READY_INTERVALS * 0.01
    assert watchdog.unready_reason is None
    device.now_s += 0.001
    assert watchdog.unready_reason is not None
    assert not watchdog.lost
    device.now_s = LIVE_INTERVALS * 0.01 + 0.001
    assert watchdog.lost
