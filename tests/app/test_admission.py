import pytest

from app.admission import Admission
from app.errors import Overloaded


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_no_more_than_the_limit_are_let_in_and_a_permit_comes_back():
    admission = Admission(2)
    with admission.permit():
        with admission.permit(), pytest.raises(Overloaded), admission.permit():
            pass
        with admission.permit():
            pass


def test_a_permit_comes_back_from_a_request_that_failed():
    admission = Admission(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.permit():
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("service_s", "admitted", "retry_after_s"), [(0.001, 2, 1), (0.5, 2, 1), (0.5, 3, 2), (2.0, 3, 6)]
)
def test_retry_after_is_the_time_to_answer_those_who_are_in(service_s, admitted, retry_after_s):
    clock = Clock()
    admission = Admission(admitted, clock)
    for _ in range(50):
        with admission.permit():
            clock.now_s += service_s
        clock.now_s += 1000  # idle time says nothing about the service
    permits = [admission.permit() for _ in range(admitted)]
    for permit in permits:
        permit.__enter__()
    with pytest.raises(Overloaded) as refused, admission.permit():
        pass
    assert refused.value.headers == {"Retry-After": str(retry_after_s)}


def test_retry_after_is_at_least_a_second_before_anything_was_answered():
    assert Admission(1).retry_after_s() == 1
