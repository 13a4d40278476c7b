import json
import os
import re
from pathlib import Path

import pytest

from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from app.label_sets.folder import LabelSetFolderError, read_all, read_file, read_folder


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        (b"cat\ndog\n", ["cat", "dog"]),
        (b"cat\r\ndog", ["cat", "dog"]),
        (b"\xef\xbb\xbfcat\n", ["cat"]),
        (b"# animals\n\n  cat \n # more\ndog # 2\n", ["cat", "dog # 2"]),
        (b"cat\ncat\n", ["cat", "cat"]),
        ("Kätzchen\nネコ\n".encode(), ["Kätzchen", "ネコ"]),
    ],
)
def test_a_text_file_has_one_label_per_line(tmp_path, content, labels):
    (tmp_path / "zoo.txt").write_bytes(content)
    assert read_folder(tmp_path, 10) == {"zoo": LabelSetDefinition(labels=labels)}


def test_a_json_file_is_a_list_or_the_body_of_a_put_request(tmp_path):
    (tmp_path / "list.json").write_text('["cat", {"label": "dog", "prompts": ["ein Hund"]}]')
    (tmp_path / "body.v2.json").write_text('{"labels": ["cat"], "templates": ["a {}"]}')
    (tmp_path / "marked.json").write_bytes(b'\xef\xbb\xbf["cat"]')
    assert read_folder(tmp_path, 10) == {
        "list": LabelSetDefinition(labels=["cat", LabelDefinition(label="dog", prompts=["ein Hund"])]),
        "body.v2": LabelSetDefinition(labels=["cat"], templates=["a {}"]),
        "marked": LabelSetDefinition(labels=["cat"]),
    }


def test_a_json_file_may_have_thresholds_and_may_be_the_response_of_a_get_request(tmp_path):
    tuned_for = {"model_fingerprint": "0" * 64, "texts": "1" * 64}
    content = {
        "labels": [{"label": "cat", "threshold": None}, "dog"],
        "templates": ["a {}"],
        "threshold": 0.5,
        "calibration": {"slope": 2.0, "intercept": 0.0},
        "tuned_for": tuned_for,
    }
    (tmp_path / "zoo.json").write_text(json.dumps(content | {"name": "zoo", "in_force": True}))
    assert read_folder(tmp_path, 10)["zoo"].content == content


def test_hidden_files_and_folders_are_skipped(tmp_path):
    """Kubernetes mounts a ConfigMap like this: the files are links into a hidden folder."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "zoo.txt").write_text("cat")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "zoo.txt").symlink_to("..data/zoo.txt")
    (tmp_path / "older").mkdir()
    assert read_folder(tmp_path, 10).keys() == {"zoo"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("zoo.txt", b"cat\n\n" + b"x" * 257, "zoo.txt, line 3: label 2 has 257 characters; it must have 1 to 256"),
        ("zoo.txt", b"cat\n\xff\n", "zoo.txt, line 2: it is not UTF-8"),
        ("zoo.txt", "cat".encode("utf-16"), "zoo.txt, line 1: it is not UTF-8"),
        ("zoo.txt", b"# nothing\n", "zoo.txt: There are 0 labels; send 1 to 3."),
        ("zoo.txt", b"a\nb\nc\nd", "zoo.txt: There are 4 labels; send 1 to 3."),
        ("zoo.json", b"[", "zoo.json: The file is not JSON: Expecting value at line 1 column 2."),
        ("zoo.json", b"[" * 100_000, "zoo.json: The file is JSON that is nested too deep"),
        ("zoo.json", b"\xff", "zoo.json: The file is not JSON: it is not UTF-8."),
        ("zoo.json", b"[1]", "zoo.json: labels/0: input should be a string, or an object with label and prompts."),
        ("zoo.json", b'"cat"', "zoo.json: the body: input should be"),
        ("zoo.json", b'{"lables": []}', "zoo.json: labels is missing; unknown field; did you mean labels?"),
        ("zoo.json", b'["\\ud83d"]', "zoo.json: The file has half of a surrogate pair"),
        ("zoo.json", b'{"labels": ["cat"], "templates": ["a"]}', "zoo.json: Template 1 must contain {} for the label"),
        ("Zoo.txt", b"cat", "Zoo.txt: this is not a valid name for a label set"),
        ("zoo.csv", b"cat", "zoo.csv: a label set is a .txt or a .json file"),
    ],
)
def test_a_mistake_is_reported_with_its_file(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelSetFolderError, match=re.escape(message)):
        read_folder(tmp_path, 3)


def test_two_files_with_the_same_name_are_an_error(tmp_path):
    (tmp_path / "zoo.txt").write_text("cat")
    (tmp_path / "zoo.json").write_text('["cat"]')
    with pytest.raises(LabelSetFolderError, match=r"zoo\.txt: there is a \.json file of the same name"):
        read_folder(tmp_path, 3)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(LabelSetFolderError, match="missing: No such file or directory"):
        read_folder(tmp_path / "missing", 3)
    (tmp_path / "zoo.txt").symlink_to(Path("gone"))
    with pytest.raises(LabelSetFolderError, match=r"zoo\.txt: No such file or directory"):
        read_folder(tmp_path, 3)


def test_all_files_are_read_even_if_some_are_wrong(tmp_path):
    (tmp_path / "bad.json").write_text("[")
    (tmp_path / "zoo.txt").write_text("cat")
    (tmp_path / "Zoo.txt").write_text("cat")
    read = dict(read_all(tmp_path, 3))
    assert read.pop("zoo") == LabelSetDefinition(labels=["cat"])
    assert {name: type(error) for name, error in read.items()} == dict.fromkeys(["Zoo", "bad"], LabelSetFolderError)


def test_a_single_file_may_have_any_name(tmp_path):
    (tmp_path / "My Zoo.txt").write_text("cat")
    assert read_file(tmp_path / "My Zoo.txt", 3) == LabelSetDefinition(labels=["cat"])


def test_a_fifo_is_rejected_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pets.txt")
    with pytest.raises(LabelSetFolderError, match=r"pets\.txt: this is not a regular file"):
        read_folder(tmp_path, 10)
