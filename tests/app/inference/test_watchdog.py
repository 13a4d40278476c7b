import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from app.inference.watchdog import LIVE_INTERVALS, READY_INTERVALS, Watchdog

pytestmark = pytest.mark.anyio


class Device:
    """Answers the canary, or fails, or is stuck; and its clock."""

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
async def pulse(device) -> AsyncIterator[Watchdog]:
    """A pulse whose interval is 10 ms on the loop's clock; what is measured in intervals is on the device's."""
    pulse = Watchdog(device.canary, 0.01, lambda: device.now_s)
    watching = asyncio.create_task(pulse.watch())
    yield pulse
    watching.cancel()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


async def test_an_idle_device_is_tried(device, pulse):
    device.now_s += 0.01
    await until(lambda: device.canaries == 1)
    assert pulse.unready_reason is None


async def test_a_busy_device_is_not(device, pulse):
    for _ in range(10):
        pulse.beat()
        await asyncio.sleep(0.002)
    assert device.canaries == 0


async def test_a_device_that_fails_makes_the_service_unready_until_it_answers_again(device, pulse):
    device.works = False
    pulse.suspect()
    await until(lambda: pulse.unready_reason is not None)
    assert pulse.unready_reason == "a forward on the device has failed (RuntimeError)"
    assert not pulse.lost
    device.works = True
    await until(lambda: pulse.unready_reason is None)


async def test_a_forward_that_succeeds_is_as_good_as_a_canary(device, pulse):
    device.works = False
    pulse.suspect()
    await until(lambda: pulse.unready_reason is not None)
    device.answers.clear()
    pulse.beat()
    assert pulse.unready_reason is None


async def test_one_failure_that_the_canary_does_not_confirm_changes_nothing(device, pulse):
    pulse.suspect()
    await until(lambda: device.canaries == 1)
    assert pulse.unready_reason is None


async def test_a_device_that_is_stuck_makes_the_service_unready_and_then_lost(device, pulse):
    device.answers.clear()
    pulse.suspect()
    await until(lambda: device.canaries == 1)
    device.now_s = READY_INTERVALS * 0.01
    assert pulse.unready_reason is None
    device.now_s += 0.001
    assert pulse.unready_reason is not None
    assert not pulse.lost
    device.now_s = LIVE_INTERVALS * 0.01 + 0.001
    assert pulse.lost
