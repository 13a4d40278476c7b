import threading

import pytest

from app.cli.ahead import batches, map_ordered


def test_results_come_in_order_though_a_later_one_is_there_first():
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            later.wait()
        if item == 1:
            later.set()
        return item

    assert list(map_ordered(work, range(5), threads=2, ahead=2)) == [0, 1, 2, 3, 4]


def test_only_so_much_is_begun_ahead():
    begun = []
    results = map_ordered(begun.append, range(100), threads=1, ahead=3)
    next(results)
    assert len(begun) <= 4
    results.close()


def test_a_failure_is_raised_in_its_turn_and_nothing_more_is_begun():
    begun = []

    def work(item: int) -> int:
        begun.append(item)
        return 1 // item

    results = map_ordered(work, [1, 0, *range(1, 100)], threads=1, ahead=1)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert len(begun) <= 4


def test_batches_are_full_but_for_the_last():
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches([], 2)) == []
