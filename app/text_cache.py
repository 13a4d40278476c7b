"""Token ids to text embedding: bounded in bytes, and computed once however many ask for it at the same time.

The key is what the model sees, the token ids, so `Cat` and `cat!` share an embedding where the tokenizer makes them
one. All of it happens on the event loop, so there is no lock.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from app.batching import Result

ENTRY_BYTES = 400  # what Python needs for an entry beside the key's and the embedding's own bytes, measured


class Found(NamedTuple):
    """Embeddings [N, E], and how many of the different texts were known and how many were not."""

    embeddings: np.ndarray
    hits: int
    misses: int


@dataclass
class _Flight:
    """A computation under way, and how many callers wait for it."""

    future: asyncio.Future[Result]
    waiters: int = 0


class TextCache:
    """Embeddings of the texts used last.

    Args:
        compute: Rows of token ids to one future each, such as `Batcher.submit`.
        max_bytes: Memory for keys and embeddings.
    """

    def __init__(self, compute: Callable[[Sequence[np.ndarray]], list[asyncio.Future[Result]]], max_bytes: int) -> None:
        self._compute = compute
        self._max_bytes = max_bytes
        self._entries: dict[bytes, np.ndarray] = {}  # the one used last is last
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._flights: dict[bytes, _Flight] = {}

    async def get(self, token_ids: np.ndarray) -> Found:
        """Returns embeddings for token ids [N, L], in order; equal rows are computed once.

        A failure is raised to all who waited for it and is not remembered.
        """
        keys = [row.tobytes() for row in token_ids]
        rows = dict(zip(keys, token_ids, strict=True))
        found = {key: self._entries[key] for key in rows if key in self._entries}
        hits = len(found)
        self.hits += hits
        self.misses += len(rows) - hits
        for key in found:
            self._entries[key] = self._entries.pop(key)
        self._start({key: row for key, row in rows.items() if key not in found and key not in self._flights})
        flights = {key: self._flights[key] for key in rows if key not in found}
        if flights:
            await self._wait(flights)
        found |= {key: flight.future.result().row for key, flight in flights.items()}
        return Found(np.stack([found[key] for key in keys]), hits, len(rows) - hits)

    def _start(self, rows: dict[bytes, np.ndarray]) -> None:
        for key, future in zip(rows, self._compute(list(rows.values())), strict=True):
            self._flights[key] = _Flight(future)
            future.add_done_callback(partial(self._land, key))

    async def _wait(self, flights: dict[bytes, _Flight]) -> None:
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

    def _land(self, key: bytes, future: asyncio.Future[Result]) -> None:
        if key in self._flights and self._flights[key].future is future:
            del self._flights[key]
        if not future.cancelled() and not future.exception() and np.isfinite(future.result().row).all():
            # A copy, because a row of a batch would keep the whole batch in memory.
            self._remember(key, future.result().row.copy())

    def _remember(self, key: bytes, embedding: np.ndarray) -> None:
        self._entries[key] = embedding
        self.bytes += entry_bytes(key, embedding)
        while self.bytes > self._max_bytes:
            oldest = next(iter(self._entries))
            self.evictions += 1
            self.bytes -= entry_bytes(oldest, self._entries.pop(oldest))


def entry_bytes(key: bytes, embedding: np.ndarray) -> int:
    """Returns the memory that one entry takes."""
    return len(key) + embedding.nbytes + ENTRY_BYTES
