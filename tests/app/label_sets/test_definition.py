import pytest
from pydantic import ValidationError

from app.label_sets.definition import LabelSetDefinition


def definition(*labels, **more) -> LabelSetDefinition:
    return LabelSetDefinition.model_validate({"labels": [*labels], **more}, strict=True)


def test_labels_have_the_prompts_of_the_templates_or_their_own():
    made = definition("cat", {"label": "dog", "prompts": ["a dog", "ein Hund", "{}"]}, templates=["a {}", "the {}"])
    assert made.names == ["cat", "dog"]
    assert made.prompts == [["a cat", "the cat"], ["a dog", "ein Hund", "{}"]]


def test_without_templates_siglips_own_is_used():
    assert definition("cat").prompts == [["This is a photo of cat."]]


def test_equal_definitions_have_equal_digests_and_others_do_not():
    assert definition("cat").digest == definition("cat", templates=["This is a photo of {}."]).digest
    others = [definition("cat"), definition("dog"), definition("cat", "cat"), definition("cat", templates=["{}"])]
    others.append(definition({"label": "cat", "prompts": ["This is a photo of cat."]}))
    assert len({other.digest for other in others}) == len(others)


@pytest.mark.parametrize("label", [3, None, ["cat"], {"label": "cat"}, {"label": "cat", "prompts": ["x"], "more": 1}])
def test_a_label_is_a_text_or_an_object_with_prompts(label):
    with pytest.raises(ValidationError):
        definition("dog", label)
