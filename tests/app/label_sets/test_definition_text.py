import json

import pytest

from app.label_sets.definition import LabelDefinition, LabelSetDefinition, check_label_set
from app.label_sets.definition_text import definition_text, read_definition

CAT = LabelSetDefinition(labels=["cat", LabelDefinition(label="Kätzchen", prompts=["eine Katze"])])
TUNED = check_label_set(LabelSetDefinition(labels=[LabelDefinition(label="cat", threshold=None), "dog"]), 2)


def test_a_set_without_anything_tuned_has_format_1_which_old_versions_read():
    text = definition_text(CAT)
    assert json.loads(text) == {
        "format": 1,
        "labels": ["cat", {"label": "Kätzchen", "prompts": ["eine Katze"]}],
        "templates": ["This is a photo of {}."],
    }
    assert "Kätzchen" in text
    assert read_definition(text) == CAT


def test_a_tuned_set_has_format_2_and_is_read_as_it_was():
    assert json.loads(definition_text(TUNED)) == {
        "format": 2,
        "labels": [{"label": "cat", "threshold": None}, "dog"],
        "templates": ["This is a photo of {}."],
    }
    assert read_definition(definition_text(TUNED)).digest == TUNED.digest


def test_a_set_that_was_stored_with_a_higher_limit_is_read():
    large = LabelSetDefinition(labels=[str(number) for number in range(20_000)])
    assert read_definition(definition_text(large)) == large


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"format": 1, "labels": ["cat"', "Expecting"),
        (b"\xff", "codec"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", 'its field "format" is not 1 or 2'),
        (b'{"format": 3, "labels": ["cat"]}', 'its field "format" is not 1 or 2'),
        (b'{"format": 1, "labels": []}', "There are 0 labels"),
        (b'{"format": 1, "labels": ["cat"], "more": 1}', "unknown field"),
    ],
)
def test_another_text_is_an_error_that_says_why(content, reason):
    with pytest.raises(ValueError, match=reason):
        read_definition(content)
