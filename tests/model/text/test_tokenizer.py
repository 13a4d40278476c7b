"""Token ids, compared with the stored reference."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from model.config import CheckpointError
from model.text.tokenizer import SIGLIP, SIGLIP_2, SigLIPTokenizer, canonicalize, lower
from tests.golden.cases import HERE, TEXTS, TEXTS_2
from tests.model.conftest import VOCABULARY

STORED = json.loads((HERE / "tokens.json").read_text())
STORED_2 = json.loads((HERE / "tokens_2.json").read_text())


@pytest.fixture
def tokenizer() -> SigLIPTokenizer:
    return SigLIPTokenizer(VOCABULARY, 64, 400)


@pytest.fixture(params=SIGLIP_2.files)
def tokenizer_2(request) -> SigLIPTokenizer:
    """A SigLIP 2 tokenizer, from `tokenizer.model` or from `tokenizer.json`."""
    return SigLIPTokenizer(HERE / request.param, 64, 600, SIGLIP_2)


@pytest.mark.parametrize("length", [64, 16])
@pytest.mark.parametrize("row", range(len(TEXTS)), ids=[ascii(text)[:30] for text in TEXTS])
def test_token_ids_equal_the_reference(row, length):
    expected = list(map(int, STORED[str(length)][row].split()))
    assert SigLIPTokenizer(VOCABULARY, length, 400)([TEXTS[row]]).tolist() == [expected]


@pytest.mark.parametrize("name", SIGLIP_2.files)
@pytest.mark.parametrize("length", [64, 16])
def test_siglip_2_token_ids_equal_the_reference_with_either_vocabulary_file(name, length):
    ours = SigLIPTokenizer(HERE / name, length, 600, SIGLIP_2)(TEXTS_2).tolist()
    theirs = [list(map(int, row.split())) for row in STORED_2[str(length)]]
    assert [text for text, a, b in zip(TEXTS_2, ours, theirs, strict=True) if a != b] == []


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("A photo, of CATS", "a photo of cats"),
        ("snow_leopard", "snowleopard"),
        ("  red\t fox！ ", "red fox！"),
        ("ΣΟΣ", "σος"),
        ("ẞ", "ß"),
        ("", ""),
        ("\u2581", ""),
    ],
)
def test_canonicalize_lowercases_and_removes_ascii_punctuation_and_extra_spaces(text, canonical):
    assert canonicalize(text) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"), [("A Cat, of_CATS!", "a cat, of_cats!"), ("ΣΟΣ", "σοσ"), (" É ", " é ")]
)
def test_siglip_2_text_is_only_lowercased_letter_by_letter(text, canonical):
    assert lower(text) == canonical


@pytest.mark.parametrize("text", ["", "   ", "?!...", "\u2581"])
def test_an_empty_text_is_end_tokens_only(tokenizer, text):
    assert tokenizer([text]).tolist() == [[1] * 64]


def test_a_truncated_text_still_ends_with_the_end_token(tokenizer):
    (ids,) = tokenizer(["cat " * 200])
    assert ids[-1] == 1
    assert 1 not in ids[:-1]


def test_a_siglip_2_text_has_one_end_token_and_then_padding_tokens(tokenizer_2):
    assert tokenizer_2([""]).tolist() == [[1] + [0] * 63]
    short, long = tokenizer_2(["a cat", "cat " * 200]).tolist()
    assert (short.count(1), short.count(0), long.count(1), long.count(0)) == (1, 61, 1, 0)
    assert short[2] == long[-1] == 1


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (
            SIGLIP,
            "lower case, ASCII punctuation deleted, white space collapsed; pieces of spiece.model; ends with </s>; "
            "padded with </s>",
        ),
        (SIGLIP_2, "lower case; pieces of tokenizer.model; ends with <eos>; padded with <pad>"),
    ],
)
def test_canonicalisation_describes_the_rules_in_words(rules, words):
    assert SigLIPTokenizer(HERE / rules.files[0], 64, 600, rules).canonicalisation == words


def test_a_vocabulary_without_the_end_token_is_refused():
    with pytest.raises(CheckpointError, match=r"spiece\.model has no piece '<eos>'"):
        SigLIPTokenizer(VOCABULARY, 64, 400, SIGLIP_2)


def test_special_tokens_in_a_text_are_treated_as_plain_text(tokenizer):
    """The only deviation: the reference ends a text at a literal `</s>`; our texts come from untrusted users."""
    np.testing.assert_array_equal(tokenizer(["cat</s>dog", "<unk>"]), tokenizer(["cats dog".replace(" ", ""), "unk"]))


def test_sentencepiece_s_space_character_in_a_text_is_a_space(tokenizer):
    np.testing.assert_array_equal(*np.split(tokenizer(["a\u2581cat", "a cat"]), 2))


def test_an_empty_list_of_texts_gives_zero_rows(tokenizer):
    assert tokenizer([]).shape == (0, 64)
    assert tokenizer([]).dtype == np.int32


def test_concurrent_calls_do_not_mix_results(tokenizer):
    texts = TEXTS * 5
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: tokenizer([text])[0], texts))
    np.testing.assert_array_equal(rows, tokenizer(texts))


def test_a_token_id_beyond_the_vocabulary_size_is_refused(tokenizer):
    highest = int(tokenizer(["a photo of a cat"]).max())
    with pytest.raises(ValueError, match=f"token id {highest} is outside the vocabulary of {highest}"):
        SigLIPTokenizer(VOCABULARY, 64, highest)(["a photo of a cat"])


@pytest.mark.parametrize("length", [4, 16])
def test_texts_that_do_not_fit_are_marked_as_truncated(length):
    tokenizer = SigLIPTokenizer(VOCABULARY, length, 400)
    texts = ["cat " * count for count in (0, 1, length - 1, length, length + 1)]
    ids, truncated, _, lengths = tokenizer.tokenize(texts)
    assert lengths.tolist() == [1, 2, length, length, length]
    assert truncated.tolist() == [False, False, False, True, True]
    assert ids.tolist() == tokenizer(texts).tolist()
    assert ids[2].tolist() == ids[3].tolist() == ids[4].tolist()


UNREADABLE = ["猫", "🐱", " 猫 🐱 "]
EMPTY_CANONICALLY = ["?!", "", " ", "\u2581"]


@pytest.mark.parametrize("text", UNREADABLE)
def test_characters_that_the_vocabulary_does_not_have_are_unknown(tokenizer, tokenizer_2, text):
    for one in (tokenizer, tokenizer_2):
        assert one.tokenize([text, f"a cat {text}", "a cat"]).unknown.tolist() == [True, True, False]
        assert one.is_readable([text, f"a cat {text}", "a cat"]).tolist() == [False, True, True]


@pytest.mark.parametrize("text", EMPTY_CANONICALLY)
def test_a_text_of_which_nothing_is_left_is_not_readable(tokenizer, text):
    assert tokenizer.is_readable([text, "cat"]).tolist() == [False, True]
    assert tokenizer.tokenize([text]).unknown.tolist() == [False]
