"""The bodies of POST /evaluate. tests/app/routes/test_evaluate.py sends them."""

import pytest

from app.errors import InvalidRequest
from app.evaluation.request import (
    MAX_SCORES,
    EvaluateBody,
    EvaluateForm,
    check_num_scores,
    labelled_images,
    sent_labels,
)
from app.validation import validated
from model.zero_shot import DEFAULT_TEMPLATES


def body(**fields) -> EvaluateBody:
    return validated(EvaluateBody, {"labels": ["cat", "dog"], "images": [""], "truth": [0]} | fields, strict=True)


@pytest.mark.parametrize(
    ("truth", "keys"),
    [
        ([0, 1], [(0,), (1,)]),
        ([[1, 0, 1], []], [(0, 1), ()]),
    ],
)
def test_truth_is_an_index_or_a_list_of_indices(truth, keys):
    images = labelled_images(body(truth=truth), 2, 2)
    assert [image.keys for image in images] == keys
    assert [image.name for image in images] == ["image 1", "image 2"]


@pytest.mark.parametrize("element", [2, -1, 1.0, True, None, "0", [[0]], [0, 2]])
def test_other_truth_is_refused_with_its_place(element):
    with pytest.raises(InvalidRequest, match="The truth of image 2 must be the index of a label, 0 to 1") as raised:
        labelled_images(body(truth=[0, element]), 2, 2)
    assert raised.value.faults[0].pointer == "/truth/1"


@pytest.mark.parametrize(("goal", "read"), [("f1", "f1"), ("0.9", 0.9)])
def test_a_form_has_numbers_and_arrays_as_text(goal, read):
    values = {"labels": ["cat"], "images": [b""], "truth": "[[0]]", "names": '["a"]', "goal": goal}
    form = validated(EvaluateForm, values, strict=False)
    assert (form.goal, form.truth, form.names) == (read, [[0]], ["a"])


def test_labels_are_checked_and_have_the_default_template():
    definition = sent_labels(body(labels=[" cat ", "dog"]), 2)
    assert (definition.labels, definition.templates) == (["cat", "dog"], list(DEFAULT_TEMPLATES))
    assert sent_labels(body(templates=["a {}"]), 2).templates == ["a {}"]


def test_the_number_of_scores_is_limited():
    check_num_scores(MAX_SCORES // 100, 100)
    with pytest.raises(InvalidRequest, match="50,001 images with 100 labels are 5,000,100 scores"):
        check_num_scores(MAX_SCORES // 100 + 1, 100)
