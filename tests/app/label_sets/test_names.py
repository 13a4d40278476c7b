import pytest

from app.errors import InvalidRequest
from app.label_sets.names import check_name


@pytest.mark.parametrize("name", ["a", "0", "zoo.v1", "a..b", "a-b_c", "x" * 64])
def test_a_name_has_lower_case_letters_digits_and_some_punctuation(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "-a", "_a", "A", "é", "a b", "a/b", "a\n", "a\0", "x" * 65, "١"])
def test_other_names_are_rejected(name):
    with pytest.raises(InvalidRequest, match="begins with a letter or a digit"):
        check_name(name)
