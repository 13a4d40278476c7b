"""What needs no server. `tests/acceptance/store` tests the store with a real one."""

import socket

import pytest

from app.errors import StoreUnavailable
from app.label_sets.redis_store import RedisStore, revisions
from app.settings import SettingsError

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "url",
    [
        "http://user:sesame@host",
        "host:6379",
        "sesame",
        "redis://:sesame/with/slashes@host:6379",
        "redis://:sesame@host:port",
        "redis://:sesame@host?socket_timeout=sesame",
        "redis://:sesame@host?no_such_option=sesame",
    ],
)
async def test_a_url_that_cannot_be_used_is_an_error_that_does_not_show_it(url):
    with pytest.raises(SettingsError, match=r"^SIGLIP_STORE is not a URL of Redis") as raised:
        RedisStore(url)
    assert "sesame" not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize("url", ["redis://h", "rediss://u:p@h:1/2?ssl_cert_reqs=none", "unix:///run/redis.sock?db=1"])
async def test_a_url_of_redis_is_accepted_and_nothing_is_connected_yet(url):
    store = RedisStore(url)
    assert store.fault is None
    assert not store.changed()
    await store.close()


async def test_a_port_where_nobody_listens_is_unavailable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        store = RedisStore(f"redis://:sesame@127.0.0.1:{free.getsockname()[1]}")
        for call in (store.open(), store.state(), store.change("pets", "{}", 0)):
            with pytest.raises(StoreUnavailable) as raised:
                await call
            assert "Connect call failed" in str(raised.value.__cause__)
            assert "sesame" not in str(raised.value) + str(raised.value.__cause__)
        await store.wait(0.01)
        await store.close()


async def test_revisions_are_names_and_numbers_in_turn():
    assert revisions([b"a", b"1764493016123456", b"b", b"2"]) == {"a": 1764493016123456, "b": 2}
