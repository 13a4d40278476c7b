"""A cache of embeddings: limited in bytes, and with one computation per key however many callers wait for it.

The service has one for texts, keyed by token ids, so that texts which the model cannot tell apart share an embedding,
and one for images, keyed by the digest of the file. It runs on the event loop, so there is no lock.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np


class Embedded(Protocol):
    """An embedding and what belongs to it."""

    @property
    def row(self) -> np.ndarray: ...

    def kept(self) -> Self:
        """Returns what the cache keeps."""


class Counter(Protocol):
    """Counts events, for example in a metric."""

    def inc(self, amount: float = 1) -> None: ...


class CacheCounters(Protocol):
    """The events of a cache."""

    @property
    def hits(self) -> Counter: ...
    @property
    def misses(self) -> Counter: ...
    @property
    def evictions(self) -> Counter: ...


I = TypeVar("I")  # noqa: E741 (input)
R = TypeVar("R", bound=Embedded)


class Found(NamedTuple, Generic[R]):
    """Results by key, and the number of cache hits and misses."""

    results: dict[bytes, R]
    hits: int
    misses: int


@dataclass
class _Flight(Generic[R]):
    """A computation in progress, and the number of callers that wait for it."""

    future: asyncio.Future[R]
    waiters: int = 0


class EmbeddingCache(Generic[R]):
    """The most recently used results.

    Args:
        max_bytes: The memory for keys and results; 0 keeps nothing.
        overhead_bytes: The memory of an entry in addition to its key and its embedding.
        counters: Count hits, misses and evictions.
    """

    def __init__(self, max_bytes: int, overhead_bytes: int, counters: CacheCounters) -> None:
        self._max_bytes = max_bytes
        self._overhead_bytes = overhead_bytes
        self._counters = counters
        self._entries: dict[bytes, R] = {}  # the most recently used one is last
        self._flights: dict[bytes, _Flight[R]] = {}
        self.bytes = 0

    async def get(self, inputs: Mapping[bytes, I], compute: Callable[[list[I]], list[asyncio.Future[R]]]) -> Found[R]:
        """Returns the result for each key.

        `compute` returns a future for each input whose result is neither cached nor being computed. A failure is
        raised to all callers that wait for it, and is not cached.
        """
        results = {key: self._entries[key] for key in inputs if key in self._entries}
        hits, misses = len(results), len(inputs) - len(results)
        self._counters.hits.inc(hits)
        self._counters.misses.inc(misses)
        for key in results:
            self._entries[key] = self._entries.pop(key)
        new = {key: one for key, one in inputs.items() if key not in results and key not in self._flights}
        for key, future in zip(new, compute(list(new.values())) if new else (), strict=True):
            self._flights[key] = _Flight(future)
            future.add_done_callback(partial(self._land, key))
        flights = {key: self._flights[key] for key in inputs if key not in results}
        if flights:
            await self._wait(flights)
        results |= {key: flight.future.result() for key, flight in flights.items()}
        return Found(results, hits, misses)

    async def _wait(self, flights: dict[bytes, _Flight[R]]) -> None:
        """Waits for all; on cancellation, cancels the computations that no other caller waits for."""
        for flight in flights.values():
            flight.waiters += 1
        try:
            # Not gather, which would cancel futures that other callers wait for.
            await asyncio.wait([flight.future for flight in flights.values()])
        finally:
            for key, flight in flights.items():
                flight.waiters -= 1
                if flight.waiters == 0 and not flight.future.done():
                    flight.future.cancel()
                    del self._flights[key]  # at once: the next caller must not wait for a cancelled computation

    def _land(self, key: bytes, future: asyncio.Future[R]) -> None:
        awaited = key in self._flights and self._flights[key].future is future
        if awaited:
            del self._flights[key]
        failed = future.cancelled() or future.exception()
        if awaited and not failed and np.isfinite(future.result().row).all():
            self._remember(key, future.result().kept())

    def _remember(self, key: bytes, result: R) -> None:
        entry_bytes = self.entry_bytes(key, result)
        if entry_bytes > self._max_bytes:
            return
        self._entries[key] = result
        self.bytes += entry_bytes
        while self.bytes > self._max_bytes:
            oldest = next(iter(self._entries))
            self._counters.evictions.inc()
            self.bytes -= self.entry_bytes(oldest, self._entries.pop(oldest))

    def entry_bytes(self, key: bytes, result: R) -> int:
        """Returns the memory of one entry."""
        return len(key) + result.row.nbytes + self._overhead_bytes
