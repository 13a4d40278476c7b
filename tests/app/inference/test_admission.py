import pytest

from app.errors import Overloaded
from app.inference.admission import Admission


class Clock:
    """A clock that only the test advances."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_the_number_of_permits_is_limited_and_a_permit_is_released():
    admission = Admission(2, 0)
    with admission.permit():
        with admission.permit(), pytest.raises(Overloaded), admission.permit():
            pass
        with admission.permit():
            pass


def test_a_failed_request_releases_its_permit():
    admission = Admission(1, 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), admission.permit():
            raise ZeroDivisionError


@pytest.mark.parametrize(
    ("service_s", "admitted", "retry_after_s"), [(0.001, 2, 1), (0.5, 2, 1), (0.5, 3, 2), (2.0, 3, 6)]
)
def test_retry_after_is_the_time_to_answer_the_admitted_requests(service_s, admitted, retry_after_s):
    clock = Clock()
    admission = Admission(admitted, 0, clock)
    for _ in range(50):
        with admission.permit():
            clock.now_s += service_s
        clock.now_s += 1000  # idle time must not count
    permits = [admission.permit() for _ in range(admitted)]
    for permit in permits:
        permit.__enter__()
    with pytest.raises(Overloaded) as refused, admission.permit():
        pass
    assert refused.value.headers == {"Retry-After": str(retry_after_s)}


def test_retry_after_is_a_second_before_the_first_response():
    assert Admission(1, 0).retry_after_s() == 1


def test_a_request_with_several_images_takes_a_permit_for_each():
    admission = Admission(4, 0)
    with admission.permit(3):
        with pytest.raises(Overloaded), admission.permit(2):
            pass
        with admission.permit(1):
            assert admission.items == 4


def test_a_request_with_more_images_than_permits_is_admitted_alone():
    admission = Admission(4, 0)
    with admission.permit(9), pytest.raises(Overloaded), admission.permit():
        pass
    with admission.permit(), pytest.raises(Overloaded), admission.permit(9):
        pass


def test_bodies_share_one_limit_and_release_their_bytes():
    admission = Admission(9, 100)
    admission.hold(60)
    with pytest.raises(Overloaded):
        admission.hold(41)
    admission.hold(40)
    admission.release(60)
    assert admission.bytes == 40


def test_a_body_whose_declared_length_exceeds_the_free_bytes_is_refused():
    admission = Admission(1, 100)
    admission.hold(60)
    admission.check(40)
    with pytest.raises(Overloaded):
        admission.check(41)


def test_a_body_is_refused_when_all_permits_are_taken():
    admission = Admission(1, 100)
    with admission.permit(), pytest.raises(Overloaded):
        admission.check(0)


def test_the_service_rate_counts_each_image_of_a_request():
    clock = Clock()
    admission = Admission(10, 0, clock)
    with admission.permit(4):
        clock.now_s += 8
    with admission.permit(3):
        assert admission.retry_after_s() == 6
