"""A fixture with a Redis, and those for real processes of the service."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.store.redis_server import RedisServer
from tests.app.conftest import anyio_backend, spawn

__all__ = ["anyio_backend", "spawn"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis."""
    folder = tmp_path / "redis"
    folder.mkdir()
    started = RedisServer(folder)
    started.start()
    yield started
    started.kill()
