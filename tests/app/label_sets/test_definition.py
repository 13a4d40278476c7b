import pytest
from pydantic import ValidationError

from app.errors import InvalidLabels, InvalidTemplate
from app.label_sets.definition import LabelDefinition, LabelSetBody, LabelSetDefinition, check_label_set


def definition(*labels, **more) -> LabelSetDefinition:
    return LabelSetDefinition.model_validate({"labels": [*labels], **more}, strict=True)


def test_prompts_come_from_the_templates_or_from_the_label_itself():
    made = definition("cat", {"label": "dog", "prompts": ["a dog", "ein Hund", "{}"]}, templates=["a {}", "the {}"])
    assert made.names == ["cat", "dog"]
    assert made.prompts == [["a cat", "the cat"], ["a dog", "ein Hund", "{}"]]


def test_without_templates_siglips_default_template_is_used():
    assert definition("cat").prompts == [["This is a photo of cat."]]


def test_only_equal_definitions_have_equal_digests():
    assert definition("cat").digest == definition("cat", templates=["This is a photo of {}."]).digest
    others = [definition("cat"), definition("dog"), definition("cat", "cat"), definition("cat", templates=["{}"])]
    others.append(definition({"label": "cat", "prompts": ["This is a photo of cat."]}))
    assert len({other.digest for other in others}) == len(others)


@pytest.mark.parametrize(
    "label", [3, None, ["cat"], {"prompts": ["x"]}, {"label": "cat", "more": 1}, {"label": "cat", "threshold": True}]
)
def test_a_label_is_a_text_or_an_object_with_a_label(label):
    with pytest.raises(ValidationError):
        definition("dog", label)


def test_a_left_out_member_stays_left_out_and_null_stays_null():
    sent = {"labels": ["cat", {"label": "dog", "threshold": None}], "templates": ["a {}"]}
    for members in ({}, {"threshold": None}, {"threshold": 0.5, "calibration": {"slope": 1, "intercept": 0}}):
        made = LabelSetDefinition.model_validate(sent | members, strict=True)
        assert made.content == check_label_set(made, 2).content == sent | members
    digests = {definition("cat", **more).digest for more in ({}, {"threshold": None}, {"threshold": 0})}
    assert len(digests) == 3


def test_the_check_returns_the_shortest_form():
    made = definition({"label": "cat", "prompts": None, "calibration": None}, calibration=None)
    assert check_label_set(made, 1).content == definition("cat").content


def test_a_label_object_without_prompts_has_those_of_the_templates():
    made = definition({"label": "cat", "threshold": 0.5}, {"label": "dog", "prompts": ["Hund"], "threshold": 0})
    assert made.prompts == [["This is a photo of cat."], ["Hund"]]
    assert check_label_set(made, 2).prompts == made.prompts


def test_what_a_set_was_tuned_for_is_only_kept_with_thresholds_or_a_calibration():
    tuned_for = {"model_fingerprint": "0" * 64, "texts": "1" * 64}
    assert "tuned_for" not in check_label_set(definition("cat", tuned_for=tuned_for), 1).content
    tuned = check_label_set(definition({"label": "cat", "threshold": 1}, tuned_for=tuned_for), 1)
    assert tuned.content["tuned_for"] == tuned_for


def test_the_body_of_a_put_may_have_what_a_get_returns():
    body = LabelSetBody.model_validate({"labels": ["cat"], "name": "pets", "in_force": False}, strict=True)
    assert check_label_set(body, 1).content == definition("cat").content


def test_a_label_set_is_checked_by_all_rules():
    cat = LabelDefinition(label=" cat ", prompts=[" a cat"])
    checked = check_label_set(LabelSetDefinition(labels=[" dog", cat]), 2)
    assert checked.labels == ["dog", LabelDefinition(label="cat", prompts=["a cat"])]
    assert checked.prompts == [["This is a photo of dog."], ["a cat"]]
    with pytest.raises(InvalidLabels):
        check_label_set(LabelSetDefinition(labels=["dog", cat]), 1)
    with pytest.raises(InvalidTemplate):
        check_label_set(LabelSetDefinition(labels=[cat], templates=["no place"]), 1)
    with pytest.raises(InvalidLabels):
        check_label_set(LabelSetDefinition(labels=[LabelDefinition(label="cat", prompts=[])]), 1)
