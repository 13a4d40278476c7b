"""The errors for invalid values and invalid JSON. tests/app/http/test_bodies.py tests them over HTTP."""

import pytest

from app.errors import InvalidRequest
from app.inference.embeddings import EmbedTextBody
from app.label_sets.definition import LabelSetDefinition
from app.schemas import ClassifyBody
from app.validation import parse_json, validated, with_few_unknown

GIVEN = {"image": "", "labels": ["cat"]}


def test_valid_values_are_returned_as_the_schema():
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
def test_an_invalid_value_is_refused_with_a_pointer(schema, values, pointer, message):
    with pytest.raises(InvalidRequest) as caught:
        validated(schema, values, strict=True)
    (fault,) = caught.value.faults
    assert fault.pointer.startswith(pointer)
    assert message in fault.message
    assert caught.value.detail == fault.message + ("" if message.endswith("?") else ".")


def test_only_the_first_ten_unknown_fields_are_validated():
    unknown = {f"unknown{index}": 1 for index in range(1000)}
    assert list(with_few_unknown(EmbedTextBody, unknown | {"texts": []})) == ["texts", *list(unknown)[:10]]


@pytest.mark.parametrize("content", ['{"a": ["\\u00e9", 1, null]}', '{"a": ["é", 1, null]}'.encode()])
def test_json_is_read_from_text_or_from_utf_8_bytes(content):
    assert parse_json(content, "It") == {"a": ["é", 1, None]}


def test_a_surrogate_pair_is_one_character():
    assert parse_json('"\\ud83d\\ude00"', "It") == "😀"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "It is not JSON: Expecting value at line 1 column 1."),
        ('{"a":\n}', "It is not JSON: Expecting value at line 2 column 1."),
        (b"\xff", "It is not JSON: it is not UTF-8."),
        ("[NaN]", "It is not JSON: NaN and Infinity are not numbers."),
        ("-Infinity", "It is not JSON: NaN and Infinity are not numbers."),
        ('{"a": 1, "a": 1}', "It has a repeated key."),
        ('["\\ud83d"]', "It has half of a surrogate pair, which is not a character."),
        ("[" * 200_000, "It is JSON that is nested too deep, or has a number that is too long."),
        ("1" * 5_000, "It is JSON that is nested too deep, or has a number that is too long."),
    ],
)
def test_invalid_or_ambiguous_json_is_refused(content, message):
    with pytest.raises(InvalidRequest) as caught:
        parse_json(content, "It")
    assert caught.value.detail == message
