"""Which reader takes which path, and several data sets as one."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.evaluate.data_sets import read_data, read_data_sets
from app.evaluation.names import DataError


@pytest.fixture
def old(tmp_path) -> Path:
    """A folder with the labels cat and dog, an image of neither, and a file outside."""
    for name in ("cat/1.png", "dog/2.png", "none/3.png", "readme.md"):
        (tmp_path / "old" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / name).write_bytes(b"")
    return tmp_path / "old"


@pytest.fixture
def new(tmp_path) -> Path:
    """A table with the labels bird, cat and nothing."""
    (tmp_path / "new.csv").write_text("path,label\na.png,cat\nb.png,bird\nb.png,cat\nc.png,none\n")
    return tmp_path / "new.csv"


@pytest.fixture
def make_tar(tmp_path) -> Callable[[Path, list[int]], Path]:
    """Writes a webdataset of images with class numbers, and returns its path."""

    def make(path: Path, numbers: list[int]) -> Path:
        with tarfile.open(path, "w") as archive:
            for place, number in enumerate(numbers):
                (tmp_path / "cls").write_text(str(number))
                archive.add(tmp_path / "cls", f"{place}.png")
                archive.add(tmp_path / "cls", f"{place}.cls")
        return path

    return make


def test_a_folder_is_labels_unless_it_has_tar_files(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/1.png").write_bytes(b"")
    (tmp_path / "truth.csv").write_text("path,label\ncat/1.png,dog\n")
    assert read_data(tmp_path, []).keys == ["cat"]
    assert read_data(tmp_path / "truth.csv", []).keys == ["dog"]
    (tmp_path / "0.tar").write_bytes(b"x" * 1024)
    with pytest.raises(DataError, match=r"0\.tar cannot be read as a tar file"):
        read_data(tmp_path, [])


def test_equal_keys_of_several_data_sets_are_one_label(old, new):
    data = read_data_sets([new], [old], ["none"])
    assert (data.all.keys, data.all.numbered, data.num_reported) == (["bird", "cat", "dog"], False, 3)
    assert [(Path(image.name).name, image.keys) for image in data.all.images] == [
        *(("a.png", (1,)), ("b.png", (0, 1)), ("c.png", ())),
        *(("1.png", (1,)), ("2.png", (2,)), ("3.png", ())),
    ]
    assert data.all.outside == (f"{old}/readme.md",)


def test_one_data_set_is_read_as_it_is(old):
    data = read_data_sets([old], [], [])
    assert (data.all, data.num_reported) == (read_data(old, []), 3)


def test_only_one_folder_needs_the_images_of_none_of_the_labels(old, tmp_path):
    (tmp_path / "other/cat").mkdir(parents=True)
    assert read_data_sets([tmp_path / "other"], [old], ["none"]).all.keys == ["cat", "dog"]
    with pytest.raises(DataError, match="has no sub-folder nothing"):
        read_data_sets([tmp_path / "other"], [old], ["nothing"])


def test_class_numbers_and_texts_are_not_mixed(old, tmp_path, make_tar):
    with pytest.raises(DataError, match="some of the data have class numbers as labels, and others have texts"):
        read_data_sets([old], [make_tar(tmp_path / "0.tar", [0])], [])


def test_class_numbers_keep_their_order(tmp_path, make_tar):
    tars = [make_tar(tmp_path / "0.tar", [2, 10]), make_tar(tmp_path / "1.tar", [10, 1])]
    data = read_data_sets(tars[:1], tars[1:], [])
    assert (data.all.keys, data.all.numbered) == (["1", "2", "10"], True)
    assert [image.keys for image in data.all.images] == [(1,), (2,), (2,), (0,)]
