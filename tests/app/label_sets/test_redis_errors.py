import asyncio
import ssl

import pytest
from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError

from app.errors import StoreUnavailable
from app.label_sets.redis_errors import answers, refusal

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("error", [ConnectionError("gone"), OSError("no route"), TimeoutError()])
async def test_a_failed_call_is_a_store_that_does_not_answer(error):
    with pytest.raises(StoreUnavailable) as raised:
        async with answers():
            raise error
    assert raised.value.__cause__ is error
    assert refusal(raised.value) is None


async def test_a_call_is_ended_after_its_time():
    with pytest.raises(StoreUnavailable) as raised:
        async with answers(-19_900_000):  # of the two seconds, a hundredth is left
            await asyncio.Event().wait()
    assert isinstance(raised.value.__cause__, TimeoutError)


@pytest.mark.parametrize("error", [AuthenticationError("WRONGPASS"), NoPermissionError("NOPERM")])
def test_a_refused_user_is_an_error_for_good_also_as_the_cause_of_another(error):
    outer = StoreUnavailable()
    outer.__cause__ = error
    assert f"refuses this user or password: {error}" in str(refusal(outer))


def test_a_certificate_that_is_not_valid_is_an_error_for_good():
    error = ssl.SSLCertVerificationError()
    error.verify_message = "self-signed certificate"
    assert "is not valid: self-signed certificate" in str(refusal(error))
