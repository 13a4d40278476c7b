"""The labels of an evaluation, and of a variant."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from app.cli.evaluate.options import make_parser, parse_variant
from app.cli.evaluate.wordings import EvaluatedLabels, evaluated_labels, labels_of_variant
from app.errors import InvalidLabels
from app.evaluation.names import DataError
from app.evaluation.truth import LabelledImages
from app.label_sets.definition import LabelDefinition, LabelSetDefinition

DATA = LabelledImages(["cat", "t-shirt"], [])


def options(*arguments: Any) -> argparse.Namespace:
    return make_parser().parse_args(["data", *map(str, arguments)])


def labels(*arguments: Any, data: LabelledImages = DATA, max_labels: int = 100) -> EvaluatedLabels:
    return evaluated_labels(options(*arguments), data, max_labels, pytest.fail)


def test_by_default_the_folders_are_the_labels():
    found = labels()
    assert found.definition == LabelSetDefinition(labels=["cat", "t shirt"])
    assert (found.label_of, found.note, found.preset) == ([0, 1], "", None)


def test_names_by_folder_may_make_two_labels_equal(tmp_path):
    (tmp_path / "n.json").write_text('{"t-shirt": "cat"}')
    found = labels("--names", tmp_path / "n.json", "--template", "a {}")
    assert found.definition == LabelSetDefinition(labels=["cat", "cat"], templates=["a {}"])
    assert found.label_of == [0, 1]


def test_a_list_of_names_is_the_labels(tmp_path):
    (tmp_path / "n.txt").write_text("hat\nT-shirt\ncat\n")
    found = labels("--names", tmp_path / "n.txt")
    assert found.definition.names == ["hat", "T-shirt", "cat"]
    assert found.label_of == [2, 1]


def test_names_may_lead_to_the_labels_of_a_label_set_whose_thresholds_are_not_used(tmp_path):
    (tmp_path / "n.csv").write_text("folder,label\nt-shirt,top\n")
    (tmp_path / "s.json").write_text('{"labels": ["top", {"label": "cat", "threshold": 0.2}], "threshold": 0.1}')
    found = labels("--names", tmp_path / "n.csv", "--labels-file", tmp_path / "s.json")
    assert found.definition == LabelSetDefinition(labels=["top", "cat"])
    assert found.label_of == [1, 0]


def test_what_contradicts_itself_is_refused(tmp_path):
    (tmp_path / "n.txt").write_text("cat\nt-shirt\n")
    with pytest.raises(DataError, match=r"n\.txt is a list of labels, as the label set is: give one of them"):
        labels("--names", tmp_path / "n.txt", "--labels-file", tmp_path / "n.txt")
    (tmp_path / "s.json").write_text(
        '[{"label": "cat", "prompts": ["a cat"]}, {"label": "t-shirt", "prompts": ["a shirt"]}]'
    )
    with pytest.raises(DataError, match="all labels have their own prompts, so templates would change nothing"):
        labels("--labels-file", tmp_path / "s.json", "--template", "a {}")
    with pytest.raises(DataError, match="class numbers: give their texts with --names"):
        labels(data=LabelledImages(["0"], [], numbered=True))
    with pytest.raises(InvalidLabels, match="There are 2 labels; send 1 to 1"):
        labels(max_labels=1)


def test_class_numbers_are_indices_into_the_names(tmp_path):
    (tmp_path / "n.txt").write_text("1\n0\n")
    assert labels("--names", tmp_path / "n.txt", data=LabelledImages(["0", "1"], [], numbered=True)).label_of == [0, 1]


BASE = LabelSetDefinition(labels=["cat", "dog"], templates=["base {}"])


def variant(text: str) -> LabelSetDefinition:
    return labels_of_variant(parse_variant(text), BASE, 100, None)


def test_a_variant_has_its_own_labels_or_templates_and_the_others_of_the_evaluation(tmp_path):
    assert variant("dtype=int8") == BASE
    assert variant("template=a {},template=b {}") == LabelSetDefinition(labels=BASE.labels, templates=["a {}", "b {}"])
    (tmp_path / "t.json").write_text('["x {c}"]')
    assert variant(f"templates={tmp_path}/t.json").templates == ["x {}"]
    (tmp_path / "l.txt").write_text("a cat\na dog\n")
    assert variant(f"labels={tmp_path}/l.txt") == LabelSetDefinition(labels=["a cat", "a dog"], templates=["base {}"])


def test_a_variants_labels_are_put_into_the_order_of_the_evaluation(tmp_path: Path):
    (tmp_path / "l.json").write_text(
        '{"labels": [{"label": "Dog", "prompts": ["a hound"]}, "cat"], "templates": ["own {}"]}'
    )
    assert variant(f"labels={tmp_path}/l.json") == LabelSetDefinition(
        labels=["cat", LabelDefinition(label="Dog", prompts=["a hound"])], templates=["own {}"]
    )
