"""Watches whether the device computes: records its last success, and sends a canary after idle time or a failure.

Readiness and liveness depend on this and not on a flag, because a device can fail while all threads are running.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

READY_INTERVALS = 3  # canary intervals without a success, after which the service is not ready
LIVE_INTERVALS = 10  # canary intervals without a success, after which only a restart helps
RETRY_S = 1.0  # between canaries while they fail

log = logging.getLogger("app")


class Watchdog:
    """Records the device's successes and failures.

    Args:
        canary: Computes one small batch on the device.
        interval_s: The time without a success after which the canary is sent.
        clock: Returns monotonic time in seconds.
    """

    def __init__(
        self, canary: Callable[[], Awaitable[object]], interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._canary = canary
        self._interval_s = interval_s
        self._clock = clock
        self._last_success_s = clock()
        self._failure: str | None = None
        self._suspected = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def record_success(self) -> None:
        """Records that a batch was computed. Thread-safe."""
        self._last_success_s = self._clock()
        self._failure = None

    def suspect(self) -> None:
        """Sends the canary at once, because a batch has failed. Thread-safe."""
        self._loop.call_soon_threadsafe(self._suspected.set)

    @property
    def unready_reason(self) -> str | None:
        """Why the service is not ready, or None."""
        if self._failure is None and self._idle_s() > READY_INTERVALS * self._interval_s:
            return f"the device has computed nothing for {self._idle_s():.0f} s"
        return self._failure

    @property
    def lost(self) -> bool:
        """Whether the last success is so long ago that only a restart helps."""
        return self._idle_s() > LIVE_INTERVALS * self._interval_s

    async def watch(self) -> None:
        """Sends the canary after idle time and after failures, for ever."""
        while True:
            pause_s = min(RETRY_S, self._interval_s) if self._failure else self._interval_s - self._idle_s()
            try:
                async with asyncio.timeout(max(pause_s, 0)):
                    await self._suspected.wait()
            except TimeoutError:
                if self._failure is None and self._idle_s() < self._interval_s:
                    continue  # a batch was computed in the meantime
            self._suspected.clear()
            try:
                await self._canary()
            except Exception as error:
                self._failure = f"a forward pass on the device has failed ({type(error).__name__})"
                log.error("the canary has failed", exc_info=error)  # noqa: TRY400 (it logs the traceback too)
            else:
                self.record_success()

    def _idle_s(self) -> float:
        return self._clock() - self._last_success_s
