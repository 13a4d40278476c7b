"""Keeps this process's copy of the store up to date, and knows whether the store answers."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from app.errors import StoreUnavailable
from app.label_sets.replica import Replica
from app.label_sets.store import LabelSetStore, StoreError

CHECK_S = 0.5  # between two checks of the store's state, for a missed report of a change
FRESH_S = 1.0  # how long a reader waits for a change that is known, at most
RENEW_S = 24 * 3600.0
RETRY_S = 1.0  # at the start, while the store does not answer
LOADING = "label sets"
WAITING = "label sets: the store does not answer yet"

log = logging.getLogger("app")


class Follower:
    """Refreshes a copy when its store has changed.

    Args:
        replica: The copy.
        store: The store.
        on_failure: Called when the store has not answered.
    """

    def __init__(self, replica: Replica, store: LabelSetStore, on_failure: Callable[[], None]) -> None:
        self.up = True  # whether the store answered the last time
        self.replica = replica
        self._store = store
        self._on_failure = on_failure
        self._refreshing = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None  # the refresh that has not begun yet
        self._began_s = 0.0  # when the last refresh has begun
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, load: Callable[[], Awaitable[None]], on_stage: Callable[[str], None]) -> None:
        """Opens the store, fills the copy and calls `load`. Waits for a store that does not answer.

        Raises:
            StoreError: The store can never be used as it is configured.
        """
        while True:
            try:
                await self._store.open()
                on_stage(LOADING)
                await self.replica.refresh(is_start=True)
                return await load()
            except StoreUnavailable as error:
                self.report(error)
                on_stage(WAITING)
                await asyncio.sleep(RETRY_S)

    def start(self) -> None:
        """Follows the store until `close`."""
        self._tasks.add(asyncio.create_task(self._follow()))

    async def fresh(self) -> None:
        """Loads changes of other processes that are known to be there. A slow store delays it for `FRESH_S` only."""
        if not self._store.changed():
            return
        waited_s = time.monotonic() - self._began_s if self._refreshing.locked() else 0.0
        with suppress(TimeoutError, StoreUnavailable, StoreError):
            async with asyncio.timeout(max(0.0, FRESH_S - waited_s)):
                await self.refresh()

    async def refresh(self) -> None:
        """Makes the copy the same as the store. All who wait share one refresh that begins after their call.

        Raises:
            StoreUnavailable: The store does not answer.
            StoreError: The store has failed.
        """
        if self._next is None:
            self._next = task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        await asyncio.shield(self._next)

    async def close(self) -> None:
        """Stops following."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self) -> None:
        renewed_s = time.monotonic()
        while True:
            try:
                await self._store.wait(CHECK_S)
                await self.refresh()
                await self.replica.release()
                if time.monotonic() - renewed_s > RENEW_S:
                    await self.replica.renew()
                    renewed_s = time.monotonic()
            except (StoreUnavailable, StoreError):
                pass  # reported already
            except Exception:  # reads go on from memory; the metrics show that the store is not followed
                self._on_failure()
                self.up = False
                log.exception("the store of label sets cannot be followed")
                await asyncio.sleep(CHECK_S)

    async def _run(self) -> None:
        async with self._refreshing:
            self._next = None
            self._began_s = time.monotonic()
            try:
                await self.replica.refresh()
            except (StoreUnavailable, StoreError) as error:
                self.report(error)
                raise
            if not self.up:
                self.up = True
                log.info("the store of label sets answers again")

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved; all who waited for it have got it

    def report(self, error: Exception) -> None:
        """Counts a failure of the store, and logs the first one of several."""
        self._on_failure()
        if self.up:
            self.up = False
            log.error("the store of label sets does not answer: %s", cause_of(error))


def cause_of(error: Exception) -> str:
    """Returns why a store does not answer, for the log."""
    cause = error.__cause__ or error
    return str(cause) or type(cause).__name__
