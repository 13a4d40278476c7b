"""What a patch changes, over HTTP: tests/app/routes/test_label_set_patch.py."""

import pytest

from app.errors import InvalidLabels, InvalidRequest
from app.label_sets.definition import LabelSetDefinition, TunedFor, check_label_set
from app.label_sets.patch import LabelSetPatch, patched
from app.validation import validated

SENT = {"labels": ["cat", {"label": "dog", "prompts": ["a dog"]}], "threshold": 0.5}
PETS = check_label_set(LabelSetDefinition.model_validate(SENT, strict=True), 10)
TUNED_FOR = TunedFor(model_fingerprint="a" * 64, texts="b" * 64)


def change(definition: LabelSetDefinition = PETS, max_labels: int = 10, **patch: object) -> LabelSetDefinition:
    return patched(definition, validated(LabelSetPatch, patch, strict=True), max_labels)


def test_an_empty_patch_changes_nothing():
    assert change().digest == PETS.digest
    assert change(labels={}).digest == PETS.digest
    assert change(labels={"0": {}, "1": {"remove": []}}).digest == PETS.digest


def test_a_label_whose_last_threshold_is_removed_is_a_text_again():
    tuned = change(labels={"0": {"threshold": 0.1}})
    assert tuned.content["labels"][0] == {"label": "cat", "threshold": 0.1}
    assert change(tuned, labels={"0": {"remove": ["threshold"]}}).content["labels"] == SENT["labels"]


def test_what_a_set_was_tuned_for_stays_until_a_patch_names_it():
    tuned = change(tuned_for=TUNED_FOR.model_dump())
    assert tuned.tuned_for == TUNED_FOR
    assert change(tuned, threshold=0.2).tuned_for == TUNED_FOR
    assert change(tuned, templates=["a {}"]).tuned_for == TUNED_FOR
    assert change(tuned, tuned_for=None).tuned_for is None
    assert change(tuned, remove=["threshold"]).tuned_for is None  # nothing is tuned any more


def test_a_set_with_more_labels_than_are_allowed_now_can_still_be_changed():
    assert change(max_labels=1, threshold=0.2).threshold == 0.2


@pytest.mark.parametrize("index", ["-1", "01", "1.0", "", "9999999999", "\u0661"])
def test_a_name_that_is_not_an_index_is_refused_and_not_repeated(index):
    with pytest.raises(InvalidRequest, match="the names are the indices of labels") as error:
        change(labels={index: {"threshold": 0.1}})
    assert error.value.faults[0].pointer == "/labels"


def test_an_index_after_the_last_label_is_refused():
    with pytest.raises(InvalidLabels, match="they are 0 to 1"):
        change(labels={"2": {}})
