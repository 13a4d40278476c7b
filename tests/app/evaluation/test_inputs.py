"""What a result says about its images, and that copies of an image stay together."""

from pathlib import Path
from typing import Any

import numpy as np

from app.evaluation.evaluation import Evaluation
from app.evaluation.inputs import (
    Inputs,
    described_model,
    evaluate_inputs,
    example_warnings,
    renumbered,
    used_versions,
)
from app.evaluation.truth import LabelledImage
from app.label_sets.definition import LabelDefinition, LabelSetDefinition
from app.label_sets.examples import stored_example
from tests.app.evaluation.synthetic import scores
from tests.fakes import INFO

DEFINITION = LabelSetDefinition(labels=["cat", LabelDefinition(label="dog", prompts=["a hound"])], templates=["a {}"])
IMAGES = [LabelledImage(name, Path(name), (key,)) for name, key in (("a", 0), ("b", 1), ("c", 1))]


def result(inputs: Inputs, **options: Any) -> Evaluation:
    logits = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    return evaluate_inputs(
        inputs, logits, DEFINITION, [0, 1], model_fingerprint="f", settings={"model": "mine"}, **options
    )


def test_a_result_says_what_was_evaluated():
    evaluation = result(Inputs(IMAGES, ["1", "2", "3"], []))
    assert evaluation.settings == {
        "model": "mine",
        "templates": ["a {}"],
        "labels_with_own_prompts": 1,
        "different_files": 3,
        "unreadable": [],
        "leaks": [],
    }
    assert evaluation.versions == used_versions()
    assert [answer.name for answer in evaluation.mistakes] == ["c"]
    assert [warning.code for warning in evaluation.warnings] == ["few_images"]


def test_warnings_count_and_name_images():
    evaluation = result(Inputs(IMAGES, ["1", "1", "2"], [("d", "It is no image.")]))
    assert [(warning.code, warning.message) for warning in evaluation.warnings[1:]] == [
        ("unreadable_files", "Files that cannot be used: 1 of 4 (d)."),
        (
            "copies_with_other_labels",
            "Equal files with different labels: 1 (a = b). The labels of one of them are wrong.",
        ),
    ]
    assert evaluation.settings["unreadable"] == [{"path": "d", "reason": "It is no image."}]
    assert evaluation.settings["leaks"] == [["a", "b"]]


def test_templates_that_no_label_uses_are_not_described():
    labels = [LabelDefinition(label="cat", prompts=["a cat"]), LabelDefinition(label="dog", prompts=["a dog"])]
    evaluation = evaluate_inputs(
        Inputs(IMAGES, ["1", "2", "3"], []),
        np.array([[1, 0], [0, 1], [1, 0]], np.float32),
        LabelSetDefinition(labels=labels),
        [0, 1],
        model_fingerprint="f",
        settings={},
    )
    assert evaluation.settings["templates"] == []


def test_copies_are_not_separated_when_thresholds_are_chosen():
    """With copies in both parts, what is reported would be better than on new images."""
    one = scores(images=60, labels=2, none=0.0)
    logits, truth = np.tile(one.logits, (10, 1)), np.tile(one.truth, (10, 1))
    images = [
        LabelledImage(str(row), Path(), tuple(np.flatnonzero(labels).tolist())) for row, labels in enumerate(truth)
    ]

    def accepted(digests: list[str]) -> Any:
        evaluation = evaluate_inputs(
            Inputs(images, digests, []), logits, DEFINITION, [0, 1], model_fingerprint="f", settings={}, goal="f1"
        )
        assert evaluation.thresholds
        return evaluation.thresholds.with_label_thresholds

    together = accepted([str(row % 60) for row in range(600)])
    separated = accepted([str(row) for row in range(600)])
    assert together.f1 < separated.f1


def test_an_example_of_the_label_set_is_recognised_by_its_file_or_its_embedding():
    rows = np.eye(3, dtype=np.float32)
    digest = "12" * 32
    examples = [
        stored_example(np.array([0.6, 0.8, 0], np.float32), "ab" * 32, digest),
        stored_example(rows[1], "ab" * 32),
    ]
    learnt = LabelSetDefinition(labels=[LabelDefinition(label="cat", examples=examples), "dog"])
    inputs = Inputs(IMAGES, [digest, "2", "3"], [])
    (warning,) = example_warnings(inputs, learnt, rows)
    assert warning.code == "images_in_examples"
    assert warning.message.startswith("Images that are examples of the label set: 2 (a, b).")
    (warning,) = example_warnings(inputs, learnt)
    assert warning.message.startswith("Images that are examples of the label set: 1 (a).")
    assert example_warnings(inputs, DEFINITION, rows) == []


def test_images_get_the_numbers_of_the_caller():
    evaluation = renumbered(result(Inputs(IMAGES, ["1", "2", "3"], [])), [4, 5, 9])
    assert [answer.image for answer in evaluation.mistakes] == [9]
    assert {answer.image for answer in evaluation.doubtful} == {4, 5, 9}


def test_the_packages_that_computed_are_named():
    assert {"siglip-service", "numpy", "pillow", "scikit-learn", "scipy"} <= set(used_versions())


def test_the_encoder_is_described():
    described = described_model(INFO)
    assert described["model"] == "FakeSigLIP fake_8"
    assert described["weights_sha256"] == "0" * 64
