import base64
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import InvalidLabels, InvalidRequest, InvalidTemplate
from app.labels import (
    MAX_PROMPTS,
    MAX_TEMPLATES,
    MAX_TEXT_CHARACTERS,
    check_labels,
    check_prompts,
    check_templates,
    check_texts,
    read_labels,
)
from model.zero_shot import prompts
from tests.app.image_files import encoded, plain_image

IMAGE = base64.b64encode(encoded(plain_image())).decode()
labels_ = st.lists(st.text(max_size=300), max_size=12)
templates_ = st.lists(st.text(alphabet=st.sampled_from("a{}0:_.!$% \n\u202e"), max_size=20), max_size=4)


@pytest.mark.parametrize(
    "texts",
    [[], ["cat"], ["cat", "[dog"], ["[", "["], ["a [b]"], ["a, b", "c"], ["a\nb", "c;d"], ["a. b/c|d"], [" cat"]],
)
def test_labels_are_unchanged_unless_a_single_text_has_several(texts):
    assert read_labels(texts) == (texts, False)


@pytest.mark.parametrize("text", ['\n["cat", "[dog]", "a, b"]', '\ufeff["cat", "[dog]", "a, b"]'])
def test_a_single_label_that_begins_with_a_bracket_is_read_as_json(text):
    assert read_labels([text]) == (["cat", "[dog]", "a, b"], False)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("cat,dog", ["cat", "dog"]),
        ("cat, a dog;bird", ["cat", "a dog", "bird"]),
        ("cat\ndog\n", ["cat", "dog"]),
        ("\ufeffcat\r\ndog\r\n", ["cat", "dog"]),
        ("cat\rdog\u2028bird", ["cat", "dog", "bird"]),
        ("cat, ", ["cat"]),
        ("猫、犬，鳥；魚", ["猫", "犬", "鳥", "魚"]),
        ("قطة، كلب؛ طائر", ["قطة", "كلب", "طائر"]),
        (" ,;\n", []),
        ("cat,[dog]", ["cat", "[dog]"]),
    ],
)
def test_a_single_text_is_split_at_commas_semicolons_and_line_breaks(text, labels):
    assert read_labels([text]) == (labels, True)


@pytest.mark.parametrize("text", ["[", "[cat]", "[1]", '["a"', '["a", null]', "[[]]", "[" * 100_000])
def test_a_single_label_with_a_bracket_that_is_not_a_json_array_of_strings_is_refused_with_a_hint(text):
    with pytest.raises(InvalidRequest, match="To send a label that begins with ") as refusal:
        read_labels([text])
    assert [fault.pointer for fault in refusal.value.faults] == ["/labels"]


def test_labels_are_trimmed_and_kept_in_order_with_duplicates():
    assert check_labels([" cat ", "dog", "cat"], 3) == ["cat", "dog", "cat"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "There are 0 labels; send 1 to 100."),
        (["cat"] * 101, "There are 101 labels; send 1 to 100."),
        (["cat", ""], "Label 2 has 0 characters; it must have 1 to 256."),
        (["x" * 257], "Label 1 has 257 characters; it must have 1 to 256."),
        ([" ", "cat", "\t\n"], "Label 1 has 0 characters; it must have 1 to 256, and 1 more labels are wrong."),
    ],
)
def test_invalid_labels_are_refused_with_a_pointer(labels, message):
    with pytest.raises(InvalidLabels) as caught:
        check_labels(labels, 100)
    assert caught.value.detail == message
    assert caught.value.faults[0].pointer.startswith("/labels")


@pytest.mark.parametrize("template", ["{}", "a photo of {}.", "{0.__class__} {}", "{{}}", "{}" * 4])
def test_any_text_with_one_to_four_placeholders_is_a_template(template):
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
def test_invalid_templates_are_refused_with_a_pointer(templates):
    with pytest.raises(InvalidTemplate) as caught:
        check_templates(templates, 1)
    assert caught.value.faults[0].pointer.startswith("/templates")


def test_labels_times_templates_is_limited():
    assert len(check_templates(["{}"] * 10, 10_000)) == 10
    with pytest.raises(InvalidTemplate, match="110,000; at most 100,000"):
        check_templates(["{}"] * 11, 10_000)


@pytest.mark.parametrize("texts", [[], ["cat"] * 4, ["cat", ""], [" \n"], ["x" * 1025]])
def test_invalid_texts_are_refused_with_a_pointer(texts):
    with pytest.raises(InvalidLabels) as caught:
        check_texts(texts, 3)
    assert caught.value.faults[0].pointer.startswith("/texts")


def test_texts_are_unchanged():
    assert check_texts([" a {} ", "x" * 1024], 3) == [" a {} ", "x" * 1024]


@given(labels_)
def test_any_labels_are_trimmed_or_refused(labels):
    trimmed = [label.strip() for label in labels]
    usable = 1 <= len(labels) <= 10 and all(1 <= len(label) <= MAX_TEXT_CHARACTERS for label in trimmed)
    if usable:
        assert check_labels(labels, 10) == trimmed
    else:
        with pytest.raises(InvalidLabels) as caught:
            check_labels(labels, 10)
        assert caught.value.detail.isascii()  # the message does not quote the label


@given(st.lists(st.text(max_size=9), min_size=1, max_size=4), templates_)
def test_placeholders_are_replaced_literally_or_the_template_is_refused(labels, templates):
    try:
        checked = check_templates(templates, len(labels))
    except InvalidTemplate:
        assert not len(templates) >= 1 or not all(1 <= template.count("{}") <= 4 for template in templates)
        return
    made = prompts(labels, checked)
    assert made == [label.join(template.split("{}")) for label in labels for template in templates]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(st.text(max_size=20), min_size=1, max_size=8), templates=st.none() | templates_)
def test_any_labels_and_templates_are_scored_or_refused_over_http(client, labels, templates):
    response = client.post("/classify", json={"image": IMAGE, "labels": labels, "templates": templates})
    if response.status_code != 200:
        assert (response.status_code, response.json()["error_type"]) in (
            (422, "invalid_labels"),
            (422, "invalid_template"),
        )
        return
    scores = response.json()["scores"]
    assert sorted(score["label"] for score in scores) == sorted(label.strip() for label in labels)
    assert [score["logit"] for score in scores] == sorted((score["logit"] for score in scores), reverse=True)
    assert sum(score["softmax"] for score in scores) == pytest.approx(1, abs=1e-5)
    assert all(score["sigmoid"] == pytest.approx(1 / (1 + math.exp(-score["logit"])), rel=1e-5) for score in scores)
    equal = {label: {score["logit"] for score in scores if score["label"] == label} for label in labels}
    assert all(len(logits) <= 1 for logits in equal.values())


@pytest.mark.parametrize("label", ["\\ud800", "a\\udfff"])
def test_a_lone_surrogate_is_refused(client, label):
    body = f'{{"image": "{IMAGE}", "labels": ["{label}"]}}'
    response = client.post("/classify", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error_type"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "label", ["\0", "a\x1b[31mred", "\u202egnp.exe", "👩‍👩‍👧‍👦", "e\u0301", "قطة", "猫", "\ufeffcat"]
)
def test_labels_may_have_unusual_characters(client, label):
    response = client.post("/classify", json={"image": IMAGE, "labels": [label, "dog"]})
    assert {score["label"] for score in response.json()["scores"]} == {label, "dog"}


def test_prompts_are_trimmed_and_kept_in_order():
    assert check_prompts({3: [" a cat", "eine Katze\n"]}, 0) == {3: ["a cat", "eine Katze"]}


@pytest.mark.parametrize(
    ("prompts", "pointer", "message"),
    [
        ([], "/labels/7/prompts", "Label 8 has 0 prompts; it must have 1 to 100."),
        (["x"] * 101, "/labels/7/prompts", "Label 8 has 101 prompts; it must have 1 to 100."),
        (["x", " "], "/labels/7/prompts/1", "Prompt 2 of label 8 has 0 characters; it must have 1 to 1,024."),
        (["x" * 1025], "/labels/7/prompts/0", "Prompt 1 of label 8 has 1,025 characters; it must have 1 to 1,024."),
    ],
)
def test_invalid_prompts_are_refused_with_a_pointer(prompts, pointer, message):
    with pytest.raises(InvalidLabels) as caught:
        check_prompts({7: prompts}, 0)
    assert (caught.value.faults[0].pointer, caught.value.detail) == (pointer, message)


def test_the_number_of_all_prompts_together_is_limited():
    assert check_prompts({0: ["a cat"]}, MAX_PROMPTS - 1)
    with pytest.raises(InvalidLabels, match="100,001 prompts in all; at most 100,000"):
        check_prompts({0: ["a cat"]}, MAX_PROMPTS)
