import threading

import pytest

from app.batch.ahead import batches, map_ordered


def test_results_come_in_order_even_if_a_later_one_is_finished_first():
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            later.wait()
        if item == 1:
            later.set()
        return item

    assert list(map_ordered(work, range(5), threads=2, ahead=2)) == [0, 1, 2, 3, 4]


def test_only_a_few_items_are_started_ahead():
    started = []
    results = map_ordered(started.append, range(100), threads=1, ahead=3)
    next(results)
    assert len(started) <= 4
    results.close()


def test_an_error_is_raised_in_order_and_stops_further_items():
    started = []

    def work(item: int) -> int:
        started.append(item)
        return 1 // item

    results = map_ordered(work, [1, 0, *range(1, 100)], threads=1, ahead=1)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(started) <= 4


def test_all_batches_except_the_last_are_full():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
