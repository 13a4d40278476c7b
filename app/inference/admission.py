"""Who may come in: permits for images, room for bodies, and when a refused request should come again. No HTTP.

Both are taken before an image is decoded and given back with the answer, so they bound memory and not only the
device's queue: with a fast model, bodies and decoding are where requests pile up.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import Overloaded

SMOOTHING = 0.1  # share of the newest sample in the mean: about the last ten requests count


class Admission:
    """At most `max_items` images and `max_bytes` of request bodies at a time.

    Args:
        max_items: Images that may wait or be computed at once. A request with more comes in when nobody else is.
        max_bytes: Bytes of the bodies of all requests together.
        clock: Seconds, never going back.
    """

    def __init__(self, max_items: int, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._clock = clock
        self.items = 0
        self.bytes = 0
        self._interval_s = 0.0  # between two answered images while there was work: the inverse of the service rate
        self._marked_s = 0.0

    def check(self, body_bytes: int) -> None:
        """Refuses, before it is read, a body for which there is no room.

        Raises:
            Overloaded: All permits are out, or the bodies that are here leave too little room for this one.
        """
        if self.items >= self._max_items or self.bytes + body_bytes > self._max_bytes:
            raise Overloaded(self.retry_after_s())

    def hold(self, body_bytes: int) -> None:
        """Takes room for a piece of a body that has arrived; `release` gives it back.

        Raises:
            Overloaded: There is no room; nothing was taken.
        """
        if self.bytes + body_bytes > self._max_bytes:
            raise Overloaded(self.retry_after_s())
        self.bytes += body_bytes

    def release(self, body_bytes: int) -> None:
        """Gives back what `hold` has taken."""
        self.bytes -= body_bytes

    @contextmanager
    def permit(self, items: int = 1) -> Iterator[None]:
        """Lets a request with so many images in for as long as the context lasts.

        Raises:
            Overloaded: Too few permits are left.
        """
        if self.items and self.items + items > self._max_items:
            raise Overloaded(self.retry_after_s())
        if self.items == 0:
            self._marked_s = self._clock()  # idle time is not service time
        self.items += items
        try:
            yield
        finally:
            self.items -= items
            now_s = self._clock()
            sample_s = (now_s - self._marked_s) / items
            self._interval_s += (SMOOTHING if self._interval_s else 1.0) * (sample_s - self._interval_s)
            self._marked_s = now_s

    def retry_after_s(self) -> int:
        """Returns the whole seconds, at least 1, until those who are in now will have been answered."""
        return max(1, math.ceil(self.items * self._interval_s))
