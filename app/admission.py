"""Who may come in: one permit a request, and when a refused one should come again. No HTTP, no queue of its own.

The permit is taken before an image is decoded and given back with the answer, so it bounds memory and not only the
device's queue: with a fast model, decoding is where requests pile up.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.errors import Overloaded

SMOOTHING = 0.1  # share of the newest sample in the mean: about the last ten requests count


class Admission:
    """Permits for at most `max_requests` at a time.

    Args:
        max_requests: Requests that may wait or be computed at once.
        clock: Seconds, never going back.
    """

    def __init__(self, max_requests: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_requests = max_requests
        self._clock = clock
        self._admitted = 0
        self._interval_s = 0.0  # between two answers while there was work: the inverse of the service rate
        self._marked_s = 0.0

    @contextmanager
    def permit(self) -> Iterator[None]:
        """Lets one request in for as long as the context lasts.

        Raises:
            Overloaded: All permits are out.
        """
        if self._admitted >= self._max_requests:
            raise Overloaded(self.retry_after_s())
        if self._admitted == 0:
            self._marked_s = self._clock()  # idle time is not service time
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1
            now_s = self._clock()
            sample_s = now_s - self._marked_s
            self._interval_s += (SMOOTHING if self._interval_s else 1.0) * (sample_s - self._interval_s)
            self._marked_s = now_s

    def retry_after_s(self) -> int:
        """Returns the whole seconds, at least 1, until those who are in now will have been answered."""
        return max(1, math.ceil(self._admitted * self._interval_s))
