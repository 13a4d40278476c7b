import pytest

from app.errors import NotReady
from app.inference.device import Device, Loaded
from app.inference.encoder import OnStage

pytestmark = pytest.mark.anyio


class OwnDevice(Device):
    """A device without a model."""

    alive = True

    async def load(self, on_stage: OnStage) -> Loaded:
        raise NotImplementedError

    async def close(self) -> None:
        if self._watching:
            self._watching.cancel()

    def watch(self) -> None:
        """Starts to watch, with a canary that does nothing."""

        async def canary() -> None:
            pass

        self._watch(canary)


async def test_before_it_is_loaded_a_device_is_live_and_its_readiness_is_the_engines_matter():
    device = OwnDevice(600, "It has ended.")
    device.suspect()
    device.check_ready()
    device.check_live()


async def test_a_device_that_has_computed_nothing_for_ten_intervals_is_not_live():
    device = OwnDevice(0.0, "It has ended.")
    device.watch()
    with pytest.raises(NotReady, match="the device has computed nothing for"):
        device.check_ready()
    with pytest.raises(NotReady, match=r"The device does not respond: .* Restart this process."):
        device.check_live()
    await device.close()


async def test_a_device_that_has_ended_is_not_live():
    device = OwnDevice(600, "It has ended.")
    device.alive = False
    with pytest.raises(NotReady, match="It has ended"):
        device.check_live()
