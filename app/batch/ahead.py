"""Work done ahead in threads: results in order, and a limit on how many are held."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def map_ordered(work: Callable[[T], U], items: Iterable[T], *, threads: int, ahead: int) -> Iterator[U]:
    """Yields `work(item)` for each item, in order; at most `ahead` items after the current one have been started."""
    executor = ThreadPoolExecutor(threads)
    pending: deque[Future[U]] = deque()
    try:
        for item in items:
            pending.append(executor.submit(work, item))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yields the items in lists of `size`; the last one may be shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
