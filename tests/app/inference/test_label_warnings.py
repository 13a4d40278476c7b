"""Warnings about labels, with a real tokenizer. tests/app/routes/test_label_warnings.py has them over HTTP."""

import pytest

from app.inference.label_warnings import MAX_NAMED, named, prompt_warnings
from model import zero_shot
from tests.fakes import TokenizingEncoder

ENCODER = TokenizingEncoder()
LONG = "a view of a mountain in snow with a bird and a dog and a cat"
TEMPLATE = zero_shot.DEFAULT_TEMPLATES[0]


def found(labels: list[str], *templates: str) -> dict[str, list[int]]:
    """Returns the indices of labels by the code of their warning."""
    prompts = [zero_shot.prompts([label], templates or [TEMPLATE]) for label in labels]
    return {warning.code: warning.labels or [] for warning in prompt_warnings(ENCODER, labels, prompts)}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["cat", "dog"], {}),
        (["cat", "ко cat"], {}),
        # Cut off.
        (["cat", LONG], {"labels_truncated": [1]}),
        ([f"{LONG} and a car", "cat", f"{LONG} and more"], {"labels_truncated": [0, 2], "labels_alike": [0, 2]}),
        # The same tokens.
        (["C++", "dog", "C#", "c"], {"labels_alike": [0, 2, 3]}),
        (["cat", "Cat", "dog", "do-g"], {"labels_alike": [0, 1, 2, 3]}),
        (["cat", "cat"], {"labels_alike": [0, 1]}),
        # Nothing to read.
        (["cat", "猫"], {"labels_unreadable": [1]}),
        (["cat", "🐱", "ж"], {"labels_unreadable": [1, 2]}),
        (["cat", "猫 cat"], {}),
        (["cat", "???"], {"labels_unreadable": [1]}),
        (["+", "-", "cat"], {"labels_alike": [0, 1], "labels_unreadable": [0, 1]}),
    ],
)
def test_labels_that_the_model_does_not_tell_apart_or_read_are_found(labels, expected):
    assert found(labels) == expected


def test_a_label_is_cut_off_if_one_of_its_prompts_is():
    assert found(["cat", "dog"], "{}", f"{LONG} {{}}") == {"labels_truncated": [0, 1]}


def test_labels_are_alike_only_if_all_their_prompts_are():
    assert found(["c", "C++"], "{}", "a photo of {}") == {"labels_alike": [0, 1]}
    assert prompt_warnings(ENCODER, ["cat", "dog"], [["a bird", "a cat"], ["a bird", "a dog"]]) == []


@pytest.mark.parametrize(
    ("label", "prompts", "is_unreadable"),
    [
        ("猫", ["a cat"], False),
        ("猫", ["a photo of 猫"], True),
        ("猫", ["a photo of 猫", "a cat"], False),
        ("cat", ["猫", "🐱"], True),
        ("cat", ["猫", "a cat"], False),
    ],
)
def test_a_label_with_its_own_prompts_is_judged_by_them(label, prompts, is_unreadable):
    codes = [warning.code for warning in prompt_warnings(ENCODER, [label, "dog"], [prompts, ["dog"]])]
    assert codes == ["labels_unreadable"] * is_unreadable


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["cat"], '"cat"'),
        (["cat", "dog"], '"cat" and "dog"'),
        (["a", "b", "c"], '"a", "b" and "c"'),
        (["a", "b", "c", "d"], '"a", "b", "c" and 1 more'),
        (["x" * 60], f'"{"x" * 40}…"'),
    ],
)
def test_a_message_names_the_first_labels(labels, text):
    assert named(labels, range(len(labels))) == text


def test_a_message_stays_short_for_many_labels():
    labels = ["🐱" * (1 + index % 250) for index in range(10_000)]
    *_, alike, unreadable = prompt_warnings(ENCODER, labels, [[label] for label in labels])
    assert len(unreadable.labels or []) == 10_000
    assert all(len(warning.message) < 400 for warning in (alike, unreadable))
    assert f"and {10_000 - MAX_NAMED:,} more" in unreadable.message
