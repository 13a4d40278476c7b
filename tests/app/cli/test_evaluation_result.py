"""Rows of images from files with and without an embedding, and warnings about files."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from app.cli.evaluated_labels import EvaluatedLabels
from app.cli.evaluation_result import more_warnings, report_unusable, usable_rows, used_versions
from app.cli.files import NotScored
from app.evaluation.truth import LabelledImage, LabelledImages
from app.label_sets.definition import LabelSetDefinition

IMAGES = [LabelledImage(name, Path(name), (0,)) for name in ("a", "b", "c", "d")]


def test_copies_share_a_row_and_files_without_an_embedding_are_left_out(capsys):
    digests = ["2", NotScored("no image"), "1", "2"]
    rows = usable_rows(IMAGES, digests, {"1": NotScored("too large")}, {"1": 0, "2": 1})
    assert [image.name for image in rows.images] == ["a", "d"]
    np.testing.assert_array_equal(rows.file_of, [1, 1])
    assert rows.unusable == [("b", "no image"), ("c", "too large")]
    report_unusable(rows, tqdm(disable=True))
    assert capsys.readouterr().err == "b: no image\nc: too large\nnot used: 2 of 4 files\n"


def test_warnings_count_and_name_files():
    rows = usable_rows(IMAGES, ["1", "1", "2", NotScored("no image")], {}, {"1": 0, "2": 1})
    labels = EvaluatedLabels(LabelSetDefinition(labels=["cat"]), [0], "labels are assigned", None)
    data = LabelledImages(["cat"], IMAGES, outside=("x", "y"))
    assert [(warning.code, warning.message) for warning in more_warnings(data, labels, rows, [["a", "b"]])] == [
        ("unreadable_files", "Files that cannot be used: 1 of 4 (d)."),
        (
            "copies_with_other_labels",
            "Equal files with different labels: 1 (a = b). The labels of one of them are wrong.",
        ),
        ("files_outside_labels", "Files in no label's folder: 2 (x, y)."),
        ("labels_by_order", "Labels are assigned."),
    ]


def test_the_packages_that_computed_are_named():
    assert {"siglip-service", "numpy", "pillow", "scikit-learn", "scipy"} <= set(used_versions())
