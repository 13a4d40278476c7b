"""The copy of a store in memory: what it does with a store that has lost data, and with sets that it cannot read."""

import json
import logging
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from app.errors import LabelSetNotFound, MethodNotAllowed
from app.label_sets.replica import Entry, missing
from app.label_sets.sqlite_tables import FILE
from app.label_sets.store import Versions
from tests.app.label_sets.test_label_sets import CAT, DOG, RECORD, always, opened, rows
from tests.fakes import INFO, FakeEncoder

pytestmark = pytest.mark.anyio

NEWER = json.dumps({"format": 3, "labels": ["cat"], "more": True})


def lost(entries: dict[str, int], deleted: dict[str, int], versions: Versions) -> dict[str, int]:
    found = missing({name: Entry(revision, None, "text") for name, revision in entries.items()}, deleted, versions)
    assert {stored.text for name, stored in found.items() if name in entries} <= {"text"}
    return {name: stored.revision for name, stored in found.items()}


@pytest.mark.parametrize(
    ("entries", "deleted", "versions", "expected"),
    [
        ({"a": 5}, {}, Versions({}, {}, 0), {"a": 5}),  # an empty store
        ({"a": 5}, {}, Versions({"a": 4}, {}, 0), {"a": 5}),  # old data
        ({"a": 5}, {}, Versions({"a": 5}, {}, 0), {}),
        ({"a": 5}, {}, Versions({"a": 6}, {}, 0), {}),  # another replica has changed it
        ({"a": 5}, {}, Versions({}, {"a": 6}, 0), {}),  # another replica has deleted it
        ({"a": 5}, {}, Versions({}, {"a": 4}, 0), {"a": 5}),  # deleted before, then stored, which was lost
        ({"a": 5}, {}, Versions({}, {}, 6), {}),  # deleted long ago
        ({"a": 0}, {}, Versions({}, {}, 0), {}),  # never stored
        ({}, {"a": 5}, Versions({"a": 4}, {}, 0), {"a": 5}),  # the deletion was lost
        ({}, {"a": 5}, Versions({"a": 6}, {}, 0), {}),
        ({}, {"a": 5}, Versions({}, {"a": 5}, 0), {}),
    ],
)
def test_lost_is_what_the_store_neither_has_nor_has_something_newer_of(entries, deleted, versions, expected):
    assert lost(entries, deleted, versions) == expected


async def test_an_emptied_store_gets_back_sets_deletions_and_embeddings(tmp_path):
    async with opened(tmp_path) as one:
        await one.put("pets", CAT, always, RECORD)
        await one.put("dogs", DOG, always, RECORD)
        await one.delete("dogs", always)
        before = rows(tmp_path, "SELECT name, revision, text FROM label_sets ORDER BY name")
        with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
            connection.execute("DELETE FROM label_sets")
            connection.execute("DELETE FROM embeddings")
            connection.execute("UPDATE store SET id = 'another', revision = 0")
        assert [name for name, _ in await one.all()] == ["pets"]
        assert rows(tmp_path, "SELECT name, revision, text FROM label_sets ORDER BY name") == before
        assert rows(tmp_path, "SELECT texts FROM embeddings") == [(CAT.texts_digest,)]
    encoder = FakeEncoder()
    async with opened(tmp_path, encoder) as again:
        assert [name for name, _ in await again.all()] == ["pets"]
    assert encoder.text_batches == []


async def test_what_a_newer_version_has_stored_is_logged_and_kept_and_can_only_be_deleted(tmp_path, caplog):
    async with opened(tmp_path) as label_sets:
        await label_sets.put("pets", CAT, always, RECORD)
        with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:
            connection.execute("INSERT INTO label_sets VALUES ('newer', 7, ?)", [NEWER])
            connection.execute("UPDATE store SET revision = revision + 1")
        with caplog.at_level(logging.ERROR):
            assert [name for name, _ in await label_sets.all()] == ["pets"]
        assert 'label set newer is not served: its field "format" is not 1 or 2' in caplog.text
        with pytest.raises(LabelSetNotFound):
            await label_sets.get("newer")
        with pytest.raises(MethodNotAllowed, match="newer version") as refused:
            await label_sets.put("newer", CAT, always, RECORD)
        assert "DELETE" in refused.value.headers["Allow"]
        with closing(sqlite3.connect(tmp_path / FILE)) as connection, connection:  # the store is emptied
            connection.execute("DELETE FROM label_sets")
            connection.execute("UPDATE store SET id = 'another'")
        await label_sets.all()
        assert rows(tmp_path, "SELECT text FROM label_sets WHERE name = 'newer'") == [(NEWER,)]
        await label_sets.delete("newer", always)
        await label_sets.put("newer", CAT, always, RECORD)


async def test_a_set_of_another_encoder_is_embedded_when_it_is_loaded(tmp_path):
    other = FakeEncoder(info=replace(INFO, sha256="1" * 64))
    async with opened(tmp_path) as one, opened(tmp_path, other) as two:
        await one.put("pets", DOG, always, RECORD)
        assert (await two.get("pets")).definition == DOG
        assert sum(other.text_batches) == 4
        assert len(rows(tmp_path, "SELECT * FROM embeddings")) == 2
