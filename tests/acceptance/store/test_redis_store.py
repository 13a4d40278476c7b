"""The store in Redis: what every store does, and what is special about a server."""

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from app.errors import StoreUnavailable
from app.label_sets.redis_scripts import KEYS
from app.label_sets.redis_store import RedisStore
from app.label_sets.store import LabelSetStore, StoreError
from tests.acceptance.store.redis_server import ESCAPED, PASSWORD, RedisServer
from tests.app.label_sets.store_contract import CAT, DOG, EMBEDDINGS, Opened, StoreContract

pytestmark = pytest.mark.anyio


@pytest.fixture
async def opened(server: RedisServer) -> AsyncIterator[Opened]:
    stores = []

    async def open_store() -> LabelSetStore:
        stores.append(RedisStore(server.url))
        await stores[-1].open()
        return stores[-1]

    yield open_store
    for store in stores:
        await store.close()


class TestRedisStore(StoreContract):
    @pytest.fixture(autouse=True)
    def client(self, server: RedisServer):
        with redis.Redis(port=server.port) as self.redis:
            yield

    async def pass_time(self, seconds: float) -> None:
        for key in self.redis.scan_iter("{siglip}:embeddings:*"):
            if 0 <= self.redis.ttl(key) < seconds:
                self.redis.delete(key)


async def test_embeddings_expire_after_a_month(opened, server):
    await (await opened()).keep(EMBEDDINGS)
    with redis.Redis(port=server.port) as client:
        ((key,),) = [list(client.scan_iter("{siglip}:embeddings:*"))]
        assert 29 < client.ttl(key) / 86400 <= 30


async def test_a_server_that_is_gone_is_unavailable_and_is_used_again_when_it_is_back(opened, server):
    store = await opened()
    revision = await store.change("pets", CAT, 0)
    server.save()
    server.kill()
    for call in (store.state(), store.versions(), store.change("pets", DOG, revision), store.open()):
        with pytest.raises(StoreUnavailable):
            await call
    await store.wait(0.01)
    server.start()
    await store.change("pets", DOG, revision)


async def test_a_server_that_was_emptied_is_a_new_store(opened, server):
    store = await opened()
    before = await store.state()
    revision = await store.change("pets", CAT, 0)
    server.kill()
    await store.wait(0.01)  # the connections end
    server.start()
    after = await store.state()
    assert after.store not in ("", before.store)
    assert after.revision < revision
    assert (await store.versions()).sets == {}


async def test_what_a_hanging_server_would_do_too_late_is_not_done(opened, server):
    store = await opened()
    revision = await store.change("pets", CAT, 0)
    server.hang()
    for call in (store.state(), store.change("pets", DOG, revision)):
        with pytest.raises(StoreUnavailable):
            await call
    server.go_on()
    assert (await store.definitions(["pets"]))["pets"].text == CAT
    # The same if it hangs between the two commands of a change.
    latest = 1  # microseconds since 1970
    arguments = [1, latest, "pets", revision, 1, DOG, 1000, 1000]
    assert await store._change(KEYS, arguments) == b"late"
    assert (await store.definitions(["pets"]))["pets"].text == CAT


async def test_a_store_of_a_newer_version_is_an_error_that_says_so(opened, server):
    store = await opened()
    with redis.Redis(port=server.port) as client:
        client.hset(KEYS[0], "schema", "2")
    with pytest.raises(StoreError, match="has schema 2, and this version of the service reads schema 1 only"):
        await opened()
    with pytest.raises(StoreError):
        await store.state()


@pytest.fixture
def guarded(tmp_path: Path):
    """A Redis with a password, and TLS on another port."""
    (tmp_path / "guarded").mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=tmp_path / "guarded", check=True, capture_output=True)
    server = RedisServer(tmp_path / "guarded", ["--requirepass", PASSWORD])
    tls_port = RedisServer(tmp_path).port  # another free port
    tls = ["--tls-port", tls_port, "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem"]
    server = RedisServer(tmp_path / "guarded", ["--requirepass", PASSWORD, *map(str, tls), "--tls-auth-clients", "no"])
    server.start()
    yield server, tls_port
    server.kill()


async def test_passwords_and_tls_are_as_redis_py_has_them(guarded, tmp_path):
    server, tls_port = guarded
    authority = tmp_path / "guarded" / "cert.pem"
    for url in (
        f"redis://:{ESCAPED}@127.0.0.1:{server.port}/0",
        f"redis://default:{ESCAPED}@127.0.0.1:{server.port}",
        f"redis://127.0.0.1:{server.port}?password={ESCAPED}",
        f"rediss://:{ESCAPED}@localhost:{tls_port}?ssl_ca_certs={authority}",
    ):
        store = RedisStore(url)
        await store.open()
        assert (await store.state()).store
        await store.close()


async def test_a_wrong_password_and_a_certificate_that_is_not_trusted_are_errors_without_secrets(guarded, caplog):
    server, tls_port = guarded
    for url, reason in (
        (f"redis://:wrong-{ESCAPED}@127.0.0.1:{server.port}", "refuses this user or password"),
        (f"redis://127.0.0.1:{server.port}", "refuses this user or password"),
        (f"rediss://:{ESCAPED}@localhost:{tls_port}", "its authority with \\?ssl_ca_certs=FILE"),
    ):
        store = RedisStore(url)
        with caplog.at_level(logging.DEBUG), pytest.raises(StoreError, match=reason) as raised:
            await store.open()
        await store.close()
        assert PASSWORD not in caplog.text + str(raised.value) + repr(raised.value.__cause__)
        assert ESCAPED not in caplog.text + str(raised.value)


async def test_a_user_who_may_not_use_the_keys_is_an_error(guarded):
    server, _ = guarded
    with closing(redis.Redis(port=server.port, password=PASSWORD)) as client:
        client.acl_setuser("reader", enabled=True, passwords=["+p"], keys=["other:*"], commands=["+@all"])
        client.acl_setuser("siglip", enabled=True, passwords=["+p"], keys=["{siglip}:*"], commands=["+@all"])
        client.execute_command("ACL", "SETUSER", "siglip", "&{siglip}:changed")
        client.acl_setuser("silent", enabled=True, passwords=["+p"], keys=["{siglip}:*"], commands=["+@all"])
    for user in ("reader", "silent"):
        store = RedisStore(f"redis://{user}:p@127.0.0.1:{server.port}")
        with pytest.raises(StoreError, match="refuses this user or password"):
            await store.open()
        await store.close()
    store = RedisStore(f"redis://siglip:p@127.0.0.1:{server.port}")
    await store.open()
    await store.change("pets", CAT, 0)
    await asyncio.wait_for(store.wait(0.1), 10)
    await store.close()
