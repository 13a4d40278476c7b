import os

import fsspec
import pytest

from app.batch import BatchMistake
from app.batch.inputs import absolute, sources


def files(*given) -> list[str]:
    return [source.file for source in sources([str(one) for one in given])]


def test_a_folder_is_all_files_below_it_in_order_and_a_name_is_as_it_was_given(tmp_path, monkeypatch):
    for name in ("b/2.png", "b/10.png", "a.png", ".hidden.png"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "in" / name).touch()
    monkeypatch.chdir(tmp_path)
    found = list(sources(["in"]))
    assert [source.path for source in found] == ["in/a.png", "in/b/10.png", "in/b/2.png"]
    assert [source.file for source in found] == [str(tmp_path / source.path) for source in found]
    assert files("in/a.png", "file://" + str(tmp_path / "in/b/2.png")) == [found[0].file, found[2].file]


def test_a_folder_at_a_url_gives_the_same_files():
    fs = fsspec.filesystem("memory")
    for name in ("b/2.png", "b/10.png", "a.png", ".hidden.png", "b/.git/c"):
        fs.pipe_file(f"/inputs/{name}", b"")
    assert files("memory://inputs") == [f"memory:///inputs/{name}" for name in ("a.png", "b/10.png", "b/2.png")]
    assert files("memory://inputs/a.png") == ["memory://inputs/a.png"]


def test_a_list_names_paths_relative_to_itself_and_urls(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"a b.png\r\n\n/abs/c.png\ns3://bucket/d.png\nfile:///abs/e.png\n\xff.png\n")
    expected = [f"{tmp_path}/a b.png", "/abs/c.png", "s3://bucket/d.png", "/abs/e.png"]
    assert files(tmp_path / "list.txt") == [*expected, os.fsdecode(f"{tmp_path}/".encode() + b"\xff.png")]
    fsspec.filesystem("memory").pipe_file("/lists/list.txt", b"a.png\nhttps://host/b.png\n")
    assert files("memory://lists/list.txt") == ["memory://lists/a.png", "https://host/b.png"]


def test_tar_files_and_tables_have_a_version_and_images_have_none(tmp_path):
    for name in ("a.png", "b.tar", "c.parquet"):
        (tmp_path / name).write_bytes(b"12345")
    (tmp_path / "list.txt").write_text("gone.tar")
    found = {source.file.rpartition("/")[2]: source for source in sources([str(tmp_path), str(tmp_path / "list.txt")])}
    assert found["a.png"].version == ""
    assert found["b.tar"].version.startswith("5 ")
    assert found["c.parquet"].version.startswith("5 ")
    assert found["gone.tar"].fault == "No such file or directory"


@pytest.mark.parametrize("name", ["nowhere", "nowhere.txt", "memory://nowhere"])
def test_an_input_that_does_not_exist_is_a_mistake(name):
    with pytest.raises(BatchMistake, match=f"there is no file or folder {name}"):
        files(name)


def test_the_absolute_form_of_an_input_does_not_depend_on_how_it_was_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("in/") == absolute(f"file://{tmp_path}/in") == f"{tmp_path}/in"
    assert absolute("s3://bucket/in") == "s3://bucket/in"
