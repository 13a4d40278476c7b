"""Labelled images from folders and tables."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.evaluation.names import DataError
from app.evaluation.truth import LabelledImage, leaks, read_folder, read_table, truth_matrix


def files_below(folder: str) -> Iterator[tuple[str, str]]:
    for path, _, names in sorted(os.walk(folder)):
        yield from ((os.path.join(path, name), "") for name in sorted(names))


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("cat/1.png", "cat/deep/2.png", "red_shoe/1.png", "other/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "readme.md").write_text("hello")
    return tmp_path


def test_sub_folders_are_the_labels_also_empty_ones_and_files_next_to_them_are_named(folder):
    data = read_folder(folder, files_below)
    assert data.keys == ["cat", "empty", "other", "red_shoe"]
    assert [(image.name.removeprefix(f"{folder}/"), image.keys) for image in data.images] == [
        ("cat/1.png", (0,)),
        ("cat/deep/2.png", (0,)),
        ("other/1.png", (2,)),
        ("red_shoe/1.png", (3,)),
    ]
    assert data.outside == (str(folder / "readme.md"),)
    assert not data.numbered


def test_the_images_of_a_none_folder_have_no_label(folder):
    data = read_folder(folder, files_below, ["other"])
    assert data.keys == ["cat", "empty", "red_shoe"]
    assert [image.keys for image in data.images] == [(0,), (0,), (), (2,)]
    with pytest.raises(DataError, match="has no sub-folder nothing for images without a label"):
        read_folder(folder, files_below, ["nothing"])


def test_a_folder_without_sub_folders_is_an_error(folder):
    with pytest.raises(DataError, match="has no sub-folders: each label needs one"):
        read_folder(folder / "cat/deep", files_below)
    with pytest.raises(DataError, match="No such file or directory"):
        read_folder(folder / "nowhere", files_below)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "t.csv",
            '\ufeffpath,label,more\na.png,cat,1\nb/c.png," dog ",\na.png,dog,\nd.png,,\n/e.png,"[""cat"", ""mug""]",\n',
        ),
        (
            "t.jsonl",
            '{"path": "a.png", "label": ["dog", "cat"]}\n\n{"path": "b/c.png", "label": "dog"}\n'
            '{"path": "d.png", "label": []}\n{"path": "/e.png", "label": "cat"}\n'
            '{"path": "/e.png", "label": ["mug"]}\n',
        ),
    ],
)
def test_a_table_has_several_labels_an_image_as_rows_or_lists(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    data = read_table(tmp_path / name)
    assert data.keys == ["cat", "dog", "mug"]
    assert {image.name: image.keys for image in data.images} == {
        str(tmp_path / "a.png"): (0, 1),
        str(tmp_path / "b/c.png"): (1,),
        str(tmp_path / "d.png"): (),
        "/e.png": (0, 2),
    }


def test_a_label_of_a_table_may_mean_none(tmp_path):
    (tmp_path / "t.csv").write_text("path,label\na.png,cat\nb.png,background\n")
    data = read_table(tmp_path / "t.csv", ["background"])
    assert data.keys == ["cat"]
    assert [image.keys for image in data.images] == [(0,), ()]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "file,label\n", "the first line must name the columns path and label"),
        ("t.csv", "", "the first line must name the columns path and label"),
        ("t.csv", "path,label\na.png\n", "line 2: path or label is missing"),
        ("t.csv", "path,label\na.png,[cat\n", "line 2: the label: It is not JSON"),
        ("t.csv", 'path,label\na.png,"[1]"\n', "line 2: label must be a text or a list of texts"),
        ("t.csv", "path,label\na.png,\n", "has no labels"),
        ("t.jsonl", '{"path": "a.png"}\n', "line 1: it must be an object with path and label"),
        ("t.jsonl", "cat\n", "line 1: It is not JSON"),
        ("t.jsonl", '{"path": "a.png", "label": 3}\n', "line 1: label must be a text or a list of texts"),
    ],
)
def test_a_mistake_in_a_table_is_named_with_its_line(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as error:
        read_table(tmp_path / name)
    assert message in str(error.value)


def test_the_truth_is_by_index_so_two_keys_may_be_one_label():
    images = [LabelledImage("a", Path("a"), (0, 1)), LabelledImage("b", Path("b"), (2,)), LabelledImage("c", Path("c"))]
    truth = truth_matrix(images, [3, 3, 1], 4)
    np.testing.assert_array_equal(truth, [[0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]])


def test_equal_files_with_different_labels_are_leaks():
    images = [
        LabelledImage(name, Path(name), keys) for name, keys in zip("abcd", [(0,), (1,), (0,), (0,)], strict=True)
    ]
    assert leaks(images, ["1", "1", "2", "2"]) == [["a", "b"]]
