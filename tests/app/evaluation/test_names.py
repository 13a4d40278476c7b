"""Names and templates in files of each format, and one-line errors for the others."""

import json

import pytest

from app.evaluation.names import DataError, label_text, read_names, read_templates, shown

CLIP_BENCHMARK = {"pets": ["a cat", "a dog"], "food": ["soup"]}


@pytest.mark.parametrize(
    ("key", "text"),
    [("running_shoe", "running shoe"), ("t-shirt", "t shirt"), ("__a  b_", "a b"), ("Katze", "Katze")],
)
def test_underscores_and_hyphens_are_spaces(key, text):
    assert label_text(key) == text


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("n.json", '{"t-shirt": "a t-shirt"}', {"t-shirt": "a t-shirt"}),
        ("n.json", '\ufeff["crane", "crane"]', ["crane", "crane"]),
        ("n.csv", 'folder,label\nt-shirt,"shirt, with a T"\ncat,cat\n', {"t-shirt": "shirt, with a T", "cat": "cat"}),
        ("n.txt", "tench\r\ngoldfish\r\n\r\n", ["tench", "goldfish"]),
        ("n.json", json.dumps(CLIP_BENCHMARK), ["a cat", "a dog"]),
    ],
)
def test_names_are_read_from_every_format(tmp_path, name, content, names):
    (tmp_path / name).write_text(content, newline="")
    assert read_names(tmp_path / name, "pets") == names


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("n.yaml", "", "a file of names is a .json, .csv or .txt file"),
        ("n.json", "{", "It is not JSON"),
        ("n.json", "[1]", "it must be a list of texts"),
        ("n.json", '{"a": ["b"], "c": ["d"]}', "choose one with --dataset. It has a, c"),
        ("n.csv", "name,label\n", "the first line must name the columns folder and label"),
        ("n.csv", "folder,label\ncat\n", "line 2: folder or label is missing"),
        ("n.csv", "folder,label\ncat,a\ncat,b\n", "line 3: there is another label for this folder above"),
        ("n.csv", 'folder,label\ncat,"a\n', "line"),
        ("n.txt", "a\n\nb\n", "line 2: it is blank"),
        ("n.txt", "\n", "is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line_that_names_it(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as error:
        read_names(tmp_path / name)
    assert message in str(error.value)
    assert str(tmp_path / name) in str(error.value)


def test_a_missing_file_another_encoding_and_an_unknown_data_set_are_errors(tmp_path):
    with pytest.raises(DataError, match="No such file or directory"):
        read_names(tmp_path / "no.txt")
    (tmp_path / "n.txt").write_bytes(b"\xff")
    with pytest.raises(DataError, match="it is not UTF-8"):
        read_names(tmp_path / "n.txt")
    (tmp_path / "n.json").write_text(json.dumps(CLIP_BENCHMARK))
    with pytest.raises(DataError, match=r"no entry for the data set cars\. It has pets, food"):
        read_names(tmp_path / "n.json", "cars")


def test_templates_may_have_the_placeholder_of_clip_benchmark(tmp_path):
    (tmp_path / "t.json").write_text('{"pets": ["a photo of a {c}.", "{}"]}')
    assert read_templates(tmp_path / "t.json", "pets") == ["a photo of a {}.", "{}"]
    (tmp_path / "t.txt").write_text("a {c}\nthe {c}\n")
    assert read_templates(tmp_path / "t.txt") == ["a {}", "the {}"]
    (tmp_path / "t.txt").write_text("a {c}\na cat\n")
    with pytest.raises(DataError, match="template 2 has neither"):
        read_templates(tmp_path / "t.txt")
    with pytest.raises(DataError, match=r"a file of templates is a \.json or \.txt file"):
        read_templates(tmp_path / "t.csv")


def test_a_message_shows_three_texts_and_counts_the_others():
    assert shown(["a", "b"]) == "a, b"
    assert shown(list("abcde")) == "a, b, c and 2 more"
