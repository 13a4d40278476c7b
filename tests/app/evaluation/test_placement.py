"""The label that a folder, a table's entry or a class number means."""

import pytest

from app.evaluation.names import DataError
from app.evaluation.placement import place, renamed, reorder


@pytest.mark.parametrize(
    ("keys", "labels", "indices"),
    [
        (["cat", "T-Shirt"], ["t shirt", "dog", "Cat"], [2, 0]),  # by text; a label may have no images
        (["7", "9"], [str(number) for number in range(9, -1, -1)], [2, 0]),  # digits are texts if labels have them
        (["0", "10", "2"], [f"label {chr(97 + number)}" for number in range(11)], [0, 10, 2]),  # by number
        (["n02", "n01"], ["tench", "goldfish"], [1, 0]),  # by sorted order, as ImageFolder
        ([], ["cat"], []),
    ],
)
def test_keys_mean_labels_by_text_by_number_or_by_sorted_order(keys, labels, indices):
    assert place(keys, labels).indices == indices


def test_class_numbers_are_never_texts_and_equal_texts_are_different_labels():
    assert place(["0", "2"], ["2", "missile", "missile"], numbered=True).indices == [0, 2]
    with pytest.raises(DataError, match="there is no label number 3: there are 3 labels, counted from 0"):
        place(["3"], ["a", "b", "c"], numbered=True)


def test_an_assignment_by_order_is_noted():
    note = place(["n01", "n02"], ["tench", "goldfish"]).note
    assert note == "labels are assigned to the sorted names in their order: n01 is tench, n02 is goldfish, and so on"
    assert place(["tench"], ["tench"]).note == ""


def test_what_no_rule_covers_is_an_error():
    with pytest.raises(DataError, match=r"there is no label for dgo\. The 2 labels are cat, dog"):
        place(["cat", "dgo"], ["cat", "dog"])
    with pytest.raises(DataError, match="there is no label for a, b"):
        place(["a", "b"], ["x", "y", "z"])
    with pytest.raises(DataError, match="several labels have the text crane"):
        place(["crane"], ["crane", "crane"])


def test_names_replace_folder_names_and_must_belong_to_a_folder():
    assert renamed(["t-shirt", "red_shoe"], {"t-shirt": "T-shirt"}) == ["T-shirt", "red shoe"]
    with pytest.raises(DataError, match="names are given for labels that the images do not have: shoe"):
        renamed(["t-shirt"], {"shoe": "a shoe"})


@pytest.mark.parametrize(
    ("labels", "others", "order"),
    [
        (["cat", "dog"], ["dog", "Cat"], [1, 0]),
        (["cat", "dog"], ["a cat", "dog"], [0, 1]),
        (["crane", "cat", "crane"], ["cat", "crane", "crane"], [1, 0, 2]),
    ],
)
def test_labels_of_two_wordings_are_the_same_by_text_or_else_by_place(labels, others, order):
    assert reorder(labels, others) == order


def test_wordings_that_are_not_of_the_same_labels_are_refused():
    with pytest.raises(DataError, match="there are 1 labels instead of 2"):
        reorder(["cat", "dog"], ["cat"])
    with pytest.raises(DataError, match="cat is label 2 there and 1 here"):
        reorder(["cat", "dog"], ["a dog", "cat"])
