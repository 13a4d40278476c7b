"""Redis's errors as the store's: which of them pass, and which never will. Errors do not show the URL's password."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import (
    AuthenticationError,
    AuthenticationWrongNumberOfArgsError,
    NoPermissionError,
    RedisError,
)

from app.errors import StoreUnavailable
from app.label_sets.store import StoreError
from app.settings import PREFIX

TIMEOUT_S = 2.0
BYTES_PER_S = 10e6  # what a network must carry at least
REFUSED = (AuthenticationError, AuthenticationWrongNumberOfArgsError, NoPermissionError)


@asynccontextmanager
async def answers(num_bytes: int = 0) -> AsyncIterator[None]:
    """Limits the time of a call that sends or gets this many bytes. Every failure becomes `StoreUnavailable`."""
    try:
        async with asyncio.timeout(TIMEOUT_S + num_bytes / BYTES_PER_S):
            yield
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        raise StoreUnavailable from error


def refusal(error: BaseException) -> StoreError | None:
    """Returns the error for a Redis that will never accept this user or that this service will never trust, or None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, REFUSED):
            return StoreError(
                f"the Redis in {PREFIX}STORE refuses this user or password: {cause}. A user needs the keys "
                "{siglip}:* and the channel {siglip}:changed"
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return StoreError(
                f"the certificate of the Redis in {PREFIX}STORE is not valid: {cause.verify_message}. Name its "
                "authority with ?ssl_ca_certs=FILE in the URL"
            )
        cause = cause.__cause__ or cause.__context__
    return None
