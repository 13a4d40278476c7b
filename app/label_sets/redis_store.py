"""A store in Redis, which replicas on several machines share.

A change is one script, so it is made as a whole or not at all. Other replicas get a message, and check the
store's state twice a second in case that they have missed one. No call waits for long: if Redis does not answer in
time, the call raises `StoreUnavailable`.

The URL may have a password, so neither it nor an error that may repeat a part of it is shown.
"""

import asyncio
import uuid
from collections.abc import Collection
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.errors import StoreUnavailable
from app.label_sets import redis_scripts as scripts
from app.label_sets.redis_errors import BYTES_PER_S, TIMEOUT_S, answers, refusal
from app.label_sets.store import (
    KEPT_S,
    MAX_DELETED,
    MAX_LABEL_SETS,
    RELEASED_S,
    SCHEMA,
    Conflict,
    Embeddings,
    State,
    Stored,
    StoreError,
    Versions,
    too_many_sets,
)
from app.settings import PREFIX, SettingsError

PAUSE_S = 0.05  # before another subscription
LARGE_BYTES = 100_000_000  # of a definition with many examples, or of the embeddings of many labels
# A change that Redis would make later than this is not made, because its client may have got an error.
LATEST_S = 1.0
KEY = "{siglip}:embeddings"


class RedisStore:
    """A `LabelSetStore` in Redis 5 or newer.

    Args:
        url: As redis-py accepts it: redis://, rediss:// or unix://, with options in the query.

    Raises:
        SettingsError: The URL cannot be used.
    """

    fault: str | None = None

    def __init__(self, url: str) -> None:
        try:
            # With protocol 3, redis-py does not notice before a call that the server has closed a connection.
            self._redis = Redis.from_url(
                url, protocol=2, socket_timeout=None, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
            )
            self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # checks the options
        except (ValueError, TypeError, RedisError):
            raise SettingsError(
                f"{PREFIX}STORE is not a URL of Redis. Write redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], with "
                "rediss:// for TLS; in a password, write / ? # @ % as %2F %3F %23 %40 %25"
            ) from None
        run = self._redis.register_script
        self._state, self._versions, self._definitions = map(
            run, (scripts.STATE, scripts.VERSIONS, scripts.DEFINITIONS)
        )
        self._change, self._put_back = map(run, (scripts.CHANGE, scripts.PUT_BACK))
        self._messages: PubSub | None = None
        self._has_failed = False  # since the subscription, which may not have noticed it

    async def open(self) -> None:
        """Connects, and makes the store if there is none."""
        try:
            await self.state()
            async with answers():
                await self._redis.publish(scripts.CHANGED, 0)  # a user may lack the right to do so
        except StoreUnavailable as error:
            if refused := refusal(error):
                raise refused from None
            raise

    def changed(self) -> bool:
        """Returns False: a message tells of changes."""
        return False

    def loaded(self) -> None:
        """Does nothing."""

    async def wait(self, seconds: float) -> None:
        """Waits for a message, or this long. Returns soon if messages may have been missed."""
        try:
            if self._messages is None or self._has_failed:
                await self._unsubscribe()
                await self._subscribe()
            else:
                await self._messages.get_message(timeout=seconds)
        except (RedisError, OSError):
            await self._unsubscribe()
            await asyncio.sleep(PAUSE_S)
        except StoreUnavailable:
            await self._unsubscribe()
            await asyncio.sleep(seconds)

    async def state(self) -> State:
        """Returns the state."""
        try:
            async with answers():
                id_, schema, revision = await self._state(scripts.KEYS, [uuid.uuid4().hex, SCHEMA])
        except StoreUnavailable:
            self._has_failed = True
            raise
        if int(schema) != SCHEMA:
            raise StoreError(
                f"the store in Redis has schema {int(schema)}, and this version of the service reads schema {SCHEMA} "
                "only: use the newer version, or another database of Redis"
            )
        return State(id_.decode(), int(revision))

    async def versions(self) -> Versions:
        """Returns the revisions of all sets."""
        async with answers():
            sets, deleted, forgotten = await self._versions(scripts.KEYS)
        return Versions(revisions(sets), revisions(deleted), int(forgotten or 0))

    async def definitions(self, names: Collection[str]) -> dict[str, Stored]:
        """Returns the sets with these names that exist."""
        found = {}
        for name in names:  # one by one: each may have megabytes
            async with answers(LARGE_BYTES):
                ((revision, text),) = await self._definitions(scripts.KEYS, [name])
            if revision and text:
                found[name] = Stored(int(revision), text.decode())
        return found

    async def change(self, name: str, text: str | None, expected: int, embeddings: Embeddings | None = None) -> int:
        """Replaces a set by one script. Its embeddings are stored before; without it, they expire."""
        if embeddings:
            await self.keep(embeddings)
        content = (text or "").encode()
        async with answers():
            seconds, microseconds = await self._redis.time()  # and not this machine's
        latest = seconds * 1_000_000 + microseconds + int((LATEST_S + len(content) / BYTES_PER_S) * 1e6)
        async with answers(len(content)):
            exists = int(text is not None)
            limits = [MAX_LABEL_SETS, MAX_DELETED]
            answer = await self._change(scripts.KEYS, [SCHEMA, latest, name, expected, exists, content, *limits])
        match answer:
            case b"conflict":
                raise Conflict
            case b"full":
                raise too_many_sets()
            case b"late":
                raise StoreUnavailable from TimeoutError("Redis was too slow, and nothing was changed")
        return int(answer)

    async def put_back(self, name: str, stored: Stored) -> None:
        """Stores an older version of a set, unless there is the same or a newer one."""
        content, exists = (stored.text or "").encode(), int(stored.text is not None)
        async with answers(len(content)):
            await self._put_back(scripts.KEYS, [SCHEMA, name, stored.revision, exists, content, MAX_DELETED])

    async def embeddings(self, encoder: str, texts: str) -> bytes | None:
        """Returns embeddings."""
        async with answers(LARGE_BYTES):
            content = await self._redis.get(key_of(encoder, texts))
        return content if isinstance(content, bytes) else None

    async def keep(self, embeddings: Embeddings) -> None:
        """Stores embeddings."""
        async with answers(len(embeddings.content)):
            await self._redis.set(key_of(embeddings.encoder, embeddings.texts), embeddings.content, ex=KEPT_S)

    async def renew(self, encoder: str, texts: Collection[str]) -> set[str]:
        """Keeps embeddings."""
        names = list(texts)
        async with answers(), self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.expire(key_of(encoder, name), KEPT_S)
            found = await pipeline.execute()
        return {name for name, is_there in zip(names, found, strict=True) if not is_there}

    async def release(self, encoder: str, texts: str) -> None:
        """Lets embeddings expire soon."""
        async with answers():
            await self._redis.expire(key_of(encoder, texts), RELEASED_S)

    async def close(self) -> None:
        """Ends the connections."""
        await self._unsubscribe()
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _subscribe(self) -> None:
        self._messages = self._redis.pubsub(ignore_subscribe_messages=True)
        self._has_failed = False
        async with answers():
            await self._messages.subscribe(scripts.CHANGED)

    async def _unsubscribe(self) -> None:
        messages, self._messages = self._messages, None
        if messages:
            with suppress(RedisError, OSError):
                await messages.aclose()  # type: ignore[no-untyped-call]  # redis-py has no types for it


def key_of(encoder: str, texts: str) -> str:
    """Returns the key of class embeddings."""
    return f"{KEY}:{encoder}:{texts}"


def revisions(pairs: list[bytes]) -> dict[str, int]:
    """Returns names and revisions, which Redis returns in turn."""
    return {name.decode(): int(float(number)) for name, number in zip(pairs[::2], pairs[1::2], strict=True)}
