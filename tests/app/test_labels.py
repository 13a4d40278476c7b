import pytest

from app.errors import InvalidLabels, InvalidTemplate
from app.labels import MAX_TEMPLATES, check_labels, check_templates


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
