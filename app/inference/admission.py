"""Admission control: limits on images and request bodies in the service, and an estimate for Retry-After. No HTTP.

A request takes its permits before an image is decoded and returns them with the response. So they limit memory, and
not only the device's queue: with a fast model, requests pile up while bodies arrive and images are decoded.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from app.errors import Overloaded

SMOOTHING = 0.1  # weight of the newest sample in the moving average, which covers about ten requests


class Counts(Protocol):
    """The images and the bytes of request bodies in the service: in all of its processes."""

    @property
    def items(self) -> int: ...
    @property
    def bytes(self) -> int: ...

    def add(self, items: int = 0, body_bytes: int = 0) -> None:
        """Changes what this process counts; negative numbers are taken away."""


class LocalCounts:
    """The counts of a service with one process."""

    def __init__(self) -> None:
        self.items = 0
        self.bytes = 0

    def add(self, items: int = 0, body_bytes: int = 0) -> None:
        """Changes the counts."""
        self.items += items
        self.bytes += body_bytes


class Admission:
    """At most `max_items` images and `max_bytes` of request bodies at a time.

    Args:
        max_items: Most images that wait or are computed at once. A request with more is admitted if it is the only one.
        max_bytes: Most bytes of all request bodies together.
        clock: Returns monotonic time in seconds.
        counts: What is in the service; None counts in this process alone.
    """

    def __init__(
        self,
        max_items: int,
        max_bytes: int,
        clock: Callable[[], float] = time.monotonic,
        counts: Counts | None = None,
    ) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._counts = counts or LocalCounts()
        self._clock = clock
        self._own_items = 0  # of this process, whose rate is known
        self._interval_s = 0.0  # mean time per image under load, the inverse of the service rate
        self._last_s = 0.0  # when the last request ended, or the first one came after idle time

    def check(self, body_bytes: int) -> None:
        """Checks, before a body is read, whether it can be accepted.

        Raises:
            Overloaded: All permits are taken, or the bodies in memory leave too little space for this one.
        """
        if self.items >= self._max_items or self.bytes + body_bytes > self._max_bytes:
            raise Overloaded(self.retry_after_s())

    def hold(self, body_bytes: int) -> None:
        """Reserves memory for a piece of a body that has arrived; `release` frees it.

        Raises:
            Overloaded: There is too little space. Nothing was reserved.
        """
        # Reserved first: of two processes that do this at the same time, both may be refused, but never both admitted.
        self._counts.add(body_bytes=body_bytes)
        if self.bytes > self._max_bytes:
            self._counts.add(body_bytes=-body_bytes)
            raise Overloaded(self.retry_after_s())

    def release(self, body_bytes: int) -> None:
        """Frees memory that `hold` has reserved."""
        self._counts.add(body_bytes=-body_bytes)

    @property
    def items(self) -> int:
        """The images that wait or are computed."""
        return self._counts.items

    @property
    def bytes(self) -> int:
        """The bytes of all request bodies in memory."""
        return self._counts.bytes

    @contextmanager
    def permit(self, items: int = 1) -> Iterator[None]:
        """Admits a request with this number of images until the context ends.

        Raises:
            Overloaded: There are too few permits left.
        """
        self._counts.add(items)
        if items < self.items and self.items > self._max_items:
            self._counts.add(-items)
            raise Overloaded(self.retry_after_s())
        if self._own_items == 0:
            self._last_s = self._clock()  # idle time is not service time
        self._own_items += items
        try:
            yield
        finally:
            self._own_items -= items
            self._counts.add(-items)
            now_s = self._clock()
            sample_s = (now_s - self._last_s) / items
            self._interval_s += (SMOOTHING if self._interval_s else 1.0) * (sample_s - self._interval_s)
            self._last_s = now_s

    def retry_after_s(self) -> int:
        """Returns the estimated time until all admitted images are done, in whole seconds, at least 1."""
        return max(1, math.ceil(self._own_items * self._interval_s))
