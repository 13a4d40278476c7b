import pytest

from app.errors import InvalidRequest
from app.strict_json import parse_json


@pytest.mark.parametrize("content", ['{"a": ["\\u00e9", 1, null]}', '{"a": ["é", 1, null]}'.encode()])
def test_json_is_read_from_text_or_utf_8(content):
    assert parse_json(content, "It") == {"a": ["é", 1, None]}


def test_both_halves_of_a_pair_are_a_character():
    assert parse_json('"\\ud83d\\ude00"', "It") == "😀"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "It is not JSON: Expecting value at line 1 column 1."),
        ('{"a":\n}', "It is not JSON: Expecting value at line 2 column 1."),
        (b"\xff", "It is not JSON: it is not UTF-8."),
        ("[NaN]", "It is not JSON: NaN and Infinity are not numbers."),
        ("-Infinity", "It is not JSON: NaN and Infinity are not numbers."),
        ('{"a": 1, "a": 1}', "It has a key twice."),
        ('["\\ud83d"]', "It has half of a surrogate pair, which is no character."),
        ("[" * 200_000, "It is not JSON that can be read: too deep, or a number too long."),
        ("1" * 5_000, "It is not JSON that can be read: too deep, or a number too long."),
    ],
)
def test_what_does_not_mean_one_thing_is_refused(content, message):
    with pytest.raises(InvalidRequest) as caught:
        parse_json(content, "It")
    assert caught.value.detail == message
