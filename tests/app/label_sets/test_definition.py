import pytest
from pydantic import ValidationError

from app.errors import InvalidLabels, InvalidTemplate
from app.label_sets.definition import LabelSetDefinition, LabelWithPrompts, check_label_set


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


@pytest.mark.parametrize("label", [3, None, ["cat"], {"label": "cat"}, {"label": "cat", "prompts": ["x"], "more": 1}])
def test_a_label_is_a_text_or_an_object_with_prompts(label):
    with pytest.raises(ValidationError):
        definition("dog", label)


def test_a_label_set_is_checked_by_all_rules():
    cat = LabelWithPrompts(label=" cat ", prompts=[" a cat"])
    checked = check_label_set(LabelSetDefinition(labels=[" dog", cat]), 2)
    assert checked.labels == ["dog", LabelWithPrompts(label="cat", prompts=["a cat"])]
    assert checked.prompts == [["This is a photo of dog."], ["a cat"]]
    with pytest.raises(InvalidLabels):
        check_label_set(LabelSetDefinition(labels=["dog", cat]), 1)
    with pytest.raises(InvalidTemplate):
        check_label_set(LabelSetDefinition(labels=[cat], templates=["no place"]), 1)
    with pytest.raises(InvalidLabels):
        check_label_set(LabelSetDefinition(labels=[LabelWithPrompts(label="cat", prompts=[])]), 1)
