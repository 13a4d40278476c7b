"""Labelled images in tar files that the standard library writes."""

import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from app.evaluation.names import DataError
from app.evaluation.webdataset import read_tars, tar_files


def write(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return path


def test_images_stay_in_the_tar_file_and_class_numbers_are_keys(tmp_path):
    one = write(tmp_path / "0.tar", {"s1.jpg": b"first", "s1.cls": b"10\n", "a/s1.PNG": b"second", "a/s1.cls": b"2"})
    two = write(tmp_path / "1.tar", {"s1.cls": b"2", "s1.txt": b"a caption", "s1.webp": b"third"})
    assert tar_files(tmp_path) == [one, two]
    data = read_tars([one, two])
    assert (data.keys, data.numbered) == (["2", "10"], True)
    assert [(image.name, image.keys) for image in data.images] == [
        (f"{one}/s1.jpg", (1,)),
        (f"{one}/a/s1.PNG", (0,)),
        (f"{two}/s1.webp", (0,)),
    ]
    for image, content in zip(data.images, [b"first", b"second", b"third"], strict=True):
        assert image.part
        assert image.file.read_bytes()[image.part.start :][: image.part.size] == content


@pytest.mark.parametrize(
    ("content", "keys", "labels"),
    [
        (b"3", ["3"], (0,)),
        (b'"cat"', ["cat"], (0,)),
        (b'{"label": ["dog", "cat"], "width": 3}', ["cat", "dog"], (0, 1)),
        (b'{"cls": 0}', ["0"], (0,)),
    ],
)
def test_a_json_member_has_a_number_a_text_or_a_list(tmp_path, content, keys, labels):
    data = read_tars([write(tmp_path / "0.tar", {"s.jpg": b"", "s.json": content})])
    assert data.keys == keys
    assert data.images[0].keys == labels


def test_a_label_may_mean_none_and_samples_that_cannot_be_used_have_a_fault(tmp_path):
    members = {"a.jpg": b"", "a.cls": b"1", "b.jpg": b"", "b.cls": b"0", "c.jpg": b"", "d.cls": b"1"}
    members |= {"e.jpg": b"", "e.png": b"", "e.cls": b"1"}
    data = read_tars([write(tmp_path / "0.tar", members)], ["0"])
    assert data.keys == ["1"]
    assert [(image.keys, image.fault) for image in data.images] == [
        ((0,), ""),
        ((), ""),
        ((), "The sample has no label: a .cls or .json file."),
        ((), "The sample has 0 images instead of one."),
        ((), "The sample has 2 images instead of one."),
    ]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"a.jpg": b"", "a.cls": b"cat"}, "a.cls: it must have a class number"),
        ({"a.jpg": b"", "a.json": b"-1"}, "a.json: it must have a class number, a text, or a list of them"),
        ({"a.jpg": b"", "a.json": b"true"}, "a.json: it must have a class number, a text, or a list of them"),
        ({"a.jpg": b"", "a.json": b"{"}, "a.json: It is not JSON"),
        ({"a.jpg": b"", "a.json": b'["cat", 1]'}, "some labels in the tar files are class numbers and some are texts"),
        ({"readme": b""}, "0.tar has no labelled images"),
    ],
)
def test_a_label_that_cannot_be_read_is_an_error(tmp_path, members, message):
    with pytest.raises(DataError) as error:
        read_tars([write(tmp_path / "0.tar", members)])
    assert message in str(error.value)


def test_a_compressed_or_damaged_tar_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read as a tar file without compression"):
        read_tars([write(tmp_path / "0.tar", {"a.jpg": b"x" * 2000}, "w:gz")])
    with pytest.raises(DataError, match="No such file"):
        read_tars([tmp_path / "no.tar"])


def test_only_tar_files_are_found(tmp_path):
    (tmp_path / "nshards.txt").write_text("1")
    (tmp_path / ".hidden.tar").write_bytes(b"")
    assert tar_files(tmp_path) == []
    assert tar_files(tmp_path / "nshards.txt") == []
