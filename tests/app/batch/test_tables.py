from pathlib import Path

import pyarrow
import pytest
from pyarrow.parquet import write_table

from app.batch import BatchMistake
from app.batch.entries import Entry, entries, readable
from app.batch.files import NotScored
from app.batch.inputs import sources
from app.batch.tables import Rows
from tests.app.image_files import encoded, plain_image

IMAGES = [encoded(plain_image((number, 40, 90))) for number in range(200)]


def write(table: Path, **columns) -> Path:
    write_table(pyarrow.table(columns), table, row_group_size=70)
    return table


def all_entries(path: Path, column: str | None = None) -> list[Entry]:
    return [entry for source in sources([str(path)]) for entry in entries(source, column)]


def test_a_column_of_bytes_is_read_in_any_order_and_across_groups_of_rows(tmp_path):
    path = write(tmp_path / "a.parquet", bytes=IMAGES, number=list(range(200)))
    found = all_entries(path)
    assert [entry.path for entry in found[:2]] == [f"{path}#0", f"{path}#1"]
    assert [file.read() for file in readable(found, None)] == IMAGES
    some = [found[index] for index in (150, 151, 3, 69, 70, 199)]
    assert [file.read() for file in readable(some, None)] == [IMAGES[index] for index in (150, 151, 3, 69, 70, 199)]


def test_images_have_the_names_of_the_column_path(tmp_path):
    path = write(tmp_path / "a.parquet", image=IMAGES[:3], path=["x.png", None, "y.png"])
    assert [entry.path for entry in all_entries(path)] == ["x.png", f"{path}#1", "y.png"]


def test_hugging_faces_struct_is_read(tmp_path):
    images = [{"bytes": IMAGES[0], "path": "x.png"}, {"bytes": None, "path": None}, None]
    path = write(tmp_path / "a.parquet", image=images, label=[0, 1, 2])
    found = all_entries(path)
    assert [entry.path for entry in found] == ["x.png", f"{path}#1", f"{path}#2"]
    first, second, third = readable(found, None)
    assert first.read() == IMAGES[0]
    for file in (second, third):
        with pytest.raises(NotScored, match=r"The row has no image."):
            file.read()


def test_a_column_of_paths_names_files_relative_to_the_table(tmp_path):
    (tmp_path / "x.png").write_bytes(IMAGES[0])
    path = write(tmp_path / "a.parquet", path=["x.png", None, "s3://bucket/y.png"])
    found = all_entries(path)
    assert [entry.file for entry in found] == [f"{tmp_path}/x.png", str(path), "s3://bucket/y.png"]
    assert next(readable(found, None)).read() == IMAGES[0]
    assert found[1].fault == "The row has no path."


def test_another_column_is_named(tmp_path):
    path = write(tmp_path / "a.parquet", picture=IMAGES[:1], number=[1])
    assert [file.read() for file in readable(all_entries(path, "picture"), "picture")] == IMAGES[:1]
    with pytest.raises(BatchMistake, match=r"no column image or bytes or path: name it with --column. It has: \['pic"):
        all_entries(path)
    with pytest.raises(BatchMistake, match="the column number has neither files nor paths, but int64"):
        all_entries(path, "number")


def test_a_damaged_table_is_one_entry_and_one_that_is_damaged_later_gives_reasons(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    (entry,) = all_entries(tmp_path / "bad.parquet")
    assert entry.fault.startswith("The file cannot be read as a table: ")
    empty = write(tmp_path / "empty.parquet", image=pyarrow.array([], pyarrow.binary()))
    assert [entry.fault for entry in all_entries(empty)] == ["The file has no images."]
    with Rows(None) as rows:
        assert str(rows.content(str(tmp_path / "bad.parquet"), 0)).startswith("The table cannot be read: ")
        assert str(rows.content(str(empty), 5)).startswith("The table cannot be read: ")
        assert str(rows.content(str(tmp_path / "gone.parquet"), 0)) == "No such file or directory"
