import pytest

from app.label_sets.configured_store import configured_store
from app.label_sets.redis_store import RedisStore
from app.label_sets.sqlite_store import SQLiteStore
from app.settings import Settings, SettingsError

pytestmark = pytest.mark.anyio


async def test_the_store_is_a_file_unless_a_redis_is_set(tmp_path):
    default = configured_store(Settings(data_dir=tmp_path))
    assert isinstance(default, SQLiteStore)
    await default.close()
    shared = configured_store(Settings(data_dir=tmp_path, store="redis://host"))
    assert isinstance(shared, RedisStore)
    await shared.close()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SettingsError, match="SIGLIP_STORE is not a URL of Redis"):
        configured_store(Settings(store="memcached://host"))
