import os

import pytest

from app.errors import Overloaded
from app.inference.admission import Admission
from app.inference.shared_counts import SharedCounts


@pytest.fixture
def counts(tmp_path) -> list[SharedCounts]:
    SharedCounts.make(tmp_path / "counts", 3)
    return [SharedCounts(tmp_path / "counts", row) for row in (0, 2)]


def test_each_process_sees_the_sum_of_all(counts):
    first, second = counts
    first.add(items=2, body_bytes=100)
    second.add(items=1)
    second.add(items=-1, body_bytes=7)
    assert [(each.items, each.bytes) for each in counts] == [(2, 107)] * 2


def test_the_row_of_a_process_that_has_ended_is_cleared(counts):
    first, second = counts
    first.add(items=2, body_bytes=100)
    second.add(items=1)
    first.clear(0)
    assert (second.items, second.bytes, second.pids) == (1, 0, [os.getpid()])


def test_limits_are_those_of_the_whole_service(counts):
    first, second = (Admission(3, 100, counts=each) for each in counts)
    with first.permit(2), second.permit(1):
        with pytest.raises(Overloaded), second.permit(1):
            pass
        first.hold(60)
        with pytest.raises(Overloaded):
            second.hold(60)
        second.hold(40)
        first.release(60)
        second.release(40)
    # The first is more than the limit, and alone.
    with second.permit(9), pytest.raises(Overloaded), first.permit():
        pass
    assert (counts[0].items, counts[0].bytes) == (0, 0)
