"""What a client is told of values that do not fit; tests/app/routes/test_bodies.py asks the same over HTTP."""

import pytest

from app.errors import InvalidRequest
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyBody, EmbedTextBody
from app.validation import validated, with_few_unknown

GIVEN = {"image": "", "labels": ["cat"]}


def test_values_that_fit_are_the_schema_s():
    assert validated(ClassifyBody, GIVEN, strict=True).labels == ["cat"]


@pytest.mark.parametrize(
    ("schema", "values", "pointer", "message"),
    [
        (ClassifyBody, {"labels": ["cat"]}, "/image", "image is missing"),
        (ClassifyBody, GIVEN | {"lables": []}, "", "unknown field; did you mean labels?"),
        (EmbedTextBody, {"texts": [], "x": 1}, "", "unknown field; the fields are texts"),
        (LabelSetDefinition, {"labels": [{"label": "cat", "prompts": ["a"], "x": 1}]}, "/labels/0", "unknown field"),
        (ClassifyBody, [], "", "the body: input should be an object"),
        (ClassifyBody, GIVEN | {"labels": ["cat", 3]}, "/labels/1", "labels/1: input should be a valid string"),
        (ClassifyBody, GIVEN | {"top_k": 0}, "/top_k", "top_k: input should be greater than or equal to 1"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(schema, values, pointer, message):
    with pytest.raises(InvalidRequest) as told:
        validated(schema, values, strict=True)
    (fault,) = told.value.faults
    assert fault.pointer.startswith(pointer)
    assert message in fault.message
    assert told.value.detail == fault.message + ("" if message.endswith("?") else ".")


def test_of_unknown_fields_only_those_that_are_told_are_looked_at():
    unknown = {f"unknown{index}": 1 for index in range(1000)}
    assert list(with_few_unknown(EmbedTextBody, unknown | {"texts": []})) == ["texts", *list(unknown)[:10]]
