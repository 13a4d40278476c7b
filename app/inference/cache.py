"""Embeddings used last: bounded in bytes, and computed once however many ask for one at the same time.

One for texts and one for pictures. A text's key is what the model sees, its token ids, so `Cat` and `cat!` share an
embedding where the tokenizer makes them one; a picture's is the digest of its file. All of it happens on the event
loop, so there is no lock.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np


class Embedded(Protocol):
    """An embedding and what is told with it."""

    @property
    def row(self) -> np.ndarray: ...

    def kept(self) -> Self:
        """Returns what may stay for long."""


I = TypeVar("I")  # noqa: E741 (input)
R = TypeVar("R", bound=Embedded)


class Found(NamedTuple, Generic[R]):
    """Results by their keys, and how many were known and how many were not."""

    results: dict[bytes, R]
    hits: int
    misses: int


@dataclass
class _Flight(Generic[R]):
    """A computation under way, and how many callers wait for it."""

    future: asyncio.Future[R]
    waiters: int = 0


class EmbeddingCache(Generic[R]):
    """Results used last.

    Args:
        max_bytes: Memory for keys and results.
        overhead_bytes: What an entry takes beside its key's and its embedding's own bytes.
    """

    def __init__(self, max_bytes: int, overhead_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._overhead_bytes = overhead_bytes
        self._entries: dict[bytes, R] = {}  # the one used last is last
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._flights: dict[bytes, _Flight[R]] = {}

    async def get(self, inputs: Mapping[bytes, I], compute: Callable[[list[I]], list[asyncio.Future[R]]]) -> Found[R]:
        """Returns a result for each key; `compute` gives a future for each input whose result nobody has or awaits.

        A failure is raised to all who waited for it and is not remembered.
        """
        results = {key: self._entries[key] for key in inputs if key in self._entries}
        hits = len(results)
        self.hits += hits
        self.misses += len(inputs) - hits
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
        return Found(results, hits, len(inputs) - hits)

    async def _wait(self, flights: dict[bytes, _Flight[R]]) -> None:
        """Waits for all; on cancellation, ends the computations that nobody else waits for."""
        for flight in flights.values():
            flight.waiters += 1
        try:
            # Not gather, which would cancel the futures with this caller: they are also others'.
            await asyncio.wait([flight.future for flight in flights.values()])
        finally:
            for key, flight in flights.items():
                flight.waiters -= 1
                if flight.waiters == 0 and not flight.future.done():
                    flight.future.cancel()
                    del self._flights[key]  # at once: whoever asks next must not wait for a cancelled one

    def _land(self, key: bytes, future: asyncio.Future[R]) -> None:
        awaited = key in self._flights and self._flights[key].future is future
        if awaited:
            del self._flights[key]
        failed = future.cancelled() or future.exception()
        if awaited and not failed and np.isfinite(future.result().row).all():
            self._remember(key, future.result().kept())

    def _remember(self, key: bytes, result: R) -> None:
        entry_bytes = self.entry_bytes(key, result)
        if entry_bytes > self._max_bytes:  # so that a cache of 0 bytes evicts nothing
            return
        self._entries[key] = result
        self.bytes += entry_bytes
        while self.bytes > self._max_bytes:
            oldest = next(iter(self._entries))
            self.evictions += 1
            self.bytes -= self.entry_bytes(oldest, self._entries.pop(oldest))

    def entry_bytes(self, key: bytes, result: R) -> int:
        """Returns the memory that one entry takes."""
        return len(key) + result.row.nbytes + self._overhead_bytes
