import pytest

from app.errors import InvalidLabels, InvalidTemplate
from app.labels import MAX_PROMPTS, MAX_TEMPLATES, check_label_set, check_labels, check_prompts, check_templates
from app.schemas import LabelSetDefinition, LabelWithPrompts


def test_labels_are_trimmed_and_kept_in_order_with_duplicates():
    assert check_labels([" cat ", "dog", "cat"], 3) == ["cat", "dog", "cat"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "There are 0 labels; send 1 to 100."),
        (["cat"] * 101, "There are 101 labels; send 1 to 100."),
        (["cat", ""], "Label 1 has 0 characters; it must have 1 to 256."),
        (["x" * 257], "Label 0 has 257 characters; it must have 1 to 256."),
        ([" ", "cat", "\t\n"], "Label 0 has 0 characters; it must have 1 to 256, and 1 more labels are at fault."),
        (["\ud83d"], "Label 0 has half of a surrogate pair, which is no character."),
    ],
)
def test_labels_that_cannot_be_used_are_pointed_at(labels, message):
    with pytest.raises(InvalidLabels) as caught:
        check_labels(labels, 100)
    assert caught.value.detail == message
    assert caught.value.faults[0].pointer.startswith("/labels")


@pytest.mark.parametrize("template", ["{}", "a photo of {}.", "{0.__class__} {}", "{{}}", "{}" * 4])
def test_a_template_is_any_text_with_a_place_for_the_label(template):
    assert check_templates([template], 1) == [template]


@pytest.mark.parametrize(
    "templates",
    [
        [],
        ["a photo"],
        ["{0.__class__}"],
        ["{:>10000000}"],
        ["{x}"],
        ["{}" * 5],
        ["{}"] * (MAX_TEMPLATES + 1),
        ["{}" + "x" * 255],
        ["{} \udd1e"],
    ],
)
def test_templates_that_cannot_be_used_are_pointed_at(templates):
    with pytest.raises(InvalidTemplate) as caught:
        check_templates(templates, 1)
    assert caught.value.faults[0].pointer.startswith("/templates")


def test_labels_times_templates_is_bounded():
    assert len(check_templates(["{}"] * 10, 10_000)) == 10
    with pytest.raises(InvalidTemplate, match="110,000; at most 100,000"):
        check_templates(["{}"] * 11, 10_000)


def test_prompts_are_trimmed_and_kept_in_order():
    assert check_prompts({3: [" a cat", "eine Katze\n"]}, 0) == {3: ["a cat", "eine Katze"]}


@pytest.mark.parametrize(
    ("prompts", "pointer", "message"),
    [
        ([], "/labels/7/prompts", "Label 7 has 0 prompts; it must have 1 to 100."),
        (["x"] * 101, "/labels/7/prompts", "Label 7 has 101 prompts; it must have 1 to 100."),
        (["x", " "], "/labels/7/prompts/1", "Prompt 1 of label 7 has 0 characters; it must have 1 to 1,024."),
        (["x" * 1025], "/labels/7/prompts/0", "Prompt 0 of label 7 has 1,025 characters; it must have 1 to 1,024."),
        (["\ud83d"], "/labels/7/prompts/0", "Prompt 0 of label 7 has half of a surrogate pair, which is no character."),
    ],
)
def test_prompts_that_cannot_be_used_are_pointed_at(prompts, pointer, message):
    with pytest.raises(InvalidLabels) as caught:
        check_prompts({7: prompts}, 0)
    assert (caught.value.faults[0].pointer, caught.value.detail) == (pointer, message)


def test_the_prompts_of_all_labels_are_bounded_with_those_of_the_templates():
    assert check_prompts({0: ["a cat"]}, MAX_PROMPTS - 1)
    with pytest.raises(InvalidLabels, match="100,001 prompts in all; at most 100,000"):
        check_prompts({0: ["a cat"]}, MAX_PROMPTS)


def test_a_label_set_is_checked_by_all_the_rules():
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
