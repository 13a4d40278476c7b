"""Which images are used, those to report on and those to choose on; and warnings about folders."""

from pathlib import Path

import pytest
from tqdm import tqdm

from app.batch.files import NotScored
from app.cli import CommandError
from app.cli.evaluate.data_sets import DataSets
from app.cli.evaluate.result import check_inputs, data_warnings, report_unusable, usable_inputs
from app.cli.evaluate.wordings import EvaluatedLabels
from app.evaluation.truth import LabelledImage, LabelledImages
from app.label_sets.definition import LabelSetDefinition

IMAGES = [LabelledImage(name, Path(name), (0,)) for name in ("a", "b", "c", "d")]


def data(num_reported: int) -> DataSets:
    return DataSets(LabelledImages(["cat"], IMAGES), num_reported)


def test_files_without_an_embedding_are_left_out_and_listed(capsys):
    digests = ["2", NotScored("no image"), "1", "2"]
    inputs = usable_inputs(data(4), digests, {"1": NotScored("too large")})
    assert [image.name for image in inputs.images] == ["a", "d"]
    assert (inputs.digests, inputs.num_reported, inputs.in_both) == (["2", "2"], None, [])
    assert inputs.unusable == [("b", "no image"), ("c", "too large")]
    report_unusable(inputs, tqdm(disable=True))
    assert capsys.readouterr().err == "b: no image\nc: too large\nnot used: 2 of 4 files\n"


def test_a_file_that_is_reported_on_is_not_chosen_on():
    inputs = usable_inputs(data(2), ["1", "1", "1", "2"], {})
    assert [image.name for image in inputs.images] == ["a", "b", "d"]
    assert (inputs.num_reported, inputs.in_both, inputs.num_files) == (2, [("a", "c")], 4)
    check_inputs(inputs)


@pytest.mark.parametrize(
    ("num_reported", "digests", "message"),
    [
        (4, [NotScored("")] * 4, "no file can be used"),
        (2, [NotScored(""), NotScored(""), "1", "2"], "no file can be used"),
        (2, ["1", "2", "2", "1"], "no file of --choose-on can be used: all of them are in DATA too"),
        (2, ["1", "2", NotScored(""), NotScored("")], "no file of --choose-on can be used: all of them are unreadable"),
    ],
)
def test_both_parts_need_a_file(num_reported, digests, message):
    with pytest.raises(CommandError, match=message):
        check_inputs(usable_inputs(data(num_reported), digests, {}))


def test_warnings_count_and_name_files():
    labels = EvaluatedLabels(LabelSetDefinition(labels=["cat"]), [0], "labels are assigned", None)
    found = LabelledImages(["cat"], IMAGES, outside=("x", "y"))
    assert [(warning.code, warning.message) for warning in data_warnings(found, labels)] == [
        ("files_outside_labels", "Files in no label's folder: 2 (x, y)."),
        ("labels_by_order", "Labels are assigned."),
    ]
