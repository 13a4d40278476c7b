"""The Protocol, and that both kinds of store have all of it. `store_contract` tests what it says."""

import inspect

import pytest

from app.label_sets.redis_store import RedisStore
from app.label_sets.sqlite_store import SQLiteStore
from app.label_sets.store import MAX_LABEL_SETS, LabelSetStore, too_many_sets

METHODS = [name for name, member in vars(LabelSetStore).items() if inspect.isfunction(member) and name[0] != "_"]


@pytest.mark.parametrize("kind", [SQLiteStore, RedisStore])
@pytest.mark.parametrize("method", METHODS)
def test_a_store_has_every_method_with_the_same_arguments(kind, method):
    assert inspect.signature(getattr(kind, method)) == inspect.signature(getattr(LabelSetStore, method))


def test_the_error_for_too_many_sets_has_the_limit():
    assert f"{MAX_LABEL_SETS:,}" in too_many_sets().detail
