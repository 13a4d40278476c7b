"""Whether the device computes: when it last did, and a canary when that was long ago or has just gone wrong.

Readiness and liveness rest on this and not on a flag, because a device can be lost while every thread is fine.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

READY_INTERVALS = 3  # without a success in so many canary intervals, the service is not ready
LIVE_INTERVALS = 10  # nor, in so many, would anything but a restart help
RETRY_S = 1.0  # between canaries while they fail

log = logging.getLogger("app")


class Watchdog:
    """The device's successes and failures.

    Args:
        canary: One small forward on the device.
        interval_s: The time without a success after which the canary is sent.
        clock: Seconds, never going back.
    """

    def __init__(
        self, canary: Callable[[], Awaitable[object]], interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._canary = canary
        self._interval_s = interval_s
        self._clock = clock
        self._last_s = clock()
        self._failure: str | None = None
        self._suspected = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def beat(self) -> None:
        """Says that a forward has succeeded. On any thread."""
        self._last_s = self._clock()
        self._failure = None

    def suspect(self) -> None:
        """Says that a forward has gone wrong, so that the canary is sent at once. On any thread."""
        self._loop.call_soon_threadsafe(self._suspected.set)

    @property
    def unready_reason(self) -> str | None:
        """Why the device cannot be relied on, or None."""
        if self._failure is None and self._idle_s() > READY_INTERVALS * self._interval_s:
            return f"the device has computed nothing for {self._idle_s():.0f} s"
        return self._failure

    @property
    def lost(self) -> bool:
        """Whether the device has been silent for so long that a restart is the remedy."""
        return self._idle_s() > LIVE_INTERVALS * self._interval_s

    async def watch(self) -> None:
        """Sends the canary whenever it is needed, for ever."""
        while True:
            pause_s = min(RETRY_S, self._interval_s) if self._failure else self._interval_s - self._idle_s()
            try:
                async with asyncio.timeout(max(pause_s, 0)):
                    await self._suspected.wait()
            except TimeoutError:
                if self._failure is None and self._idle_s() < self._interval_s:
                    continue  # it was not idle
            self._suspected.clear()
            try:
                await self._canary()
            except Exception as error:
                self._failure = f"a forward on the device has failed ({type(error).__name__})"
                log.error("the canary has failed", exc_info=error)  # noqa: TRY400 (the same, and shorter)
            else:
                self.beat()

    def _idle_s(self) -> float:
        return self._clock() - self._last_s
