"""An operator's folder, with several replicas. `test_label_sets` has the start of one."""

import asyncio

import pytest

from app.label_sets.folder import LabelSetFolderError
from app.label_sets.store import MAX_LABEL_SETS
from tests.app.label_sets.test_label_sets import CAT, RECORD, always, folder, opened, rows

__all__ = ["folder"]
pytestmark = pytest.mark.anyio

ROWS = "SELECT name, revision FROM label_sets ORDER BY name"


async def test_replicas_with_equal_folders_write_them_once(tmp_path, folder):
    data_dir = tmp_path / "data"
    async with opened(data_dir, label_sets_dir=folder):
        before = rows(data_dir, ROWS)
        assert [name for name, _ in before] == ["cats", "pets"]
        async with opened(data_dir, label_sets_dir=folder) as other:
            assert len(await other.all()) == 2
    assert rows(data_dir, ROWS) == before


async def test_replicas_may_start_at_the_same_time(tmp_path, folder):
    data_dir = tmp_path / "data"
    (folder / "pets.json").write_text('{"labels": ["cat"], "threshold": 0.5}')
    (folder / "pets.txt").unlink()

    async def start() -> list[str]:
        async with opened(data_dir, label_sets_dir=folder) as label_sets:
            return [name for name, _ in await label_sets.all()]

    started = await asyncio.gather(*(start() for _ in range(4)))
    assert started == [["cats", "pets"]] * 4


async def test_a_set_that_a_client_has_replaced_is_replaced_again_at_the_next_start(tmp_path, folder):
    data_dir = tmp_path / "data"
    async with opened(data_dir, label_sets_dir=folder) as one:
        await one.put("pets", CAT, always, RECORD)
        async with opened(data_dir, label_sets_dir=folder) as other:
            assert (await other.get("pets")).definition.names == ["dog", "hound"]
        assert (await one.get("pets")).definition.names == ["dog", "hound"]


async def test_a_folder_with_too_many_sets_ends_the_start(tmp_path):
    given = tmp_path / "given"
    given.mkdir()
    for number in range(MAX_LABEL_SETS + 1):
        (given / f"{number:04}.txt").write_text("cat")
    with pytest.raises(LabelSetFolderError, match=r"label set 1000: There are 1,000 label sets"):
        async with opened(tmp_path / "data", label_sets_dir=given):
            pass
