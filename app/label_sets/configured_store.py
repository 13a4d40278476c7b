"""The store that the settings name."""

from app.label_sets.sqlite_store import SQLiteStore
from app.label_sets.store import LabelSetStore
from app.settings import Settings


def configured_store(settings: Settings) -> LabelSetStore:
    """Returns the store that the settings name, not opened yet.

    Raises:
        SettingsError: Its URL cannot be used.
    """
    if settings.store is None:
        return SQLiteStore(settings.data_dir)
    # Imported here: redis-py imports OpenTelemetry's SDK if it is installed, which costs time and memory at each start.
    from app.label_sets.redis_store import RedisStore

    return RedisStore(settings.store.get_secret_value())
