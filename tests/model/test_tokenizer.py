"""Token ids against the stored reference."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from model.config import CheckpointError
from model.tokenizer import SigLIPTokenizer, canonicalize
from tests.golden.cases import HERE, TEXTS
from tests.model.conftest import VOCABULARY

STORED = json.loads((HERE / "tokens.json").read_text())


@pytest.fixture
def tokenizer() -> SigLIPTokenizer:
    return SigLIPTokenizer(VOCABULARY, 64, 400)


@pytest.mark.parametrize("length", [64, 16])
@pytest.mark.parametrize("row", range(len(TEXTS)), ids=[ascii(text)[:30] for text in TEXTS])
def test_token_ids_are_the_reference_s(row, length):
    expected = list(map(int, STORED[str(length)][row].split()))
    assert SigLIPTokenizer(VOCABULARY, length, 400)([TEXTS[row]]).tolist() == [expected]


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
def test_text_is_lowered_stripped_of_ascii_punctuation_and_of_spare_space(text, canonical):
    assert canonicalize(text) == canonical


@pytest.mark.parametrize("text", ["", "   ", "?!...", "\u2581"])
def test_a_text_of_nothing_is_the_end_mark_throughout(tokenizer, text):
    assert tokenizer([text]).tolist() == [[1] * 64]


def test_the_end_mark_survives_truncation(tokenizer):
    (ids,) = tokenizer(["cat " * 200])
    assert ids[-1] == 1
    assert 1 not in ids[:-1]


def test_control_tokens_spelt_out_are_letters(tokenizer):
    """The one deviation: the reference ends the text at a literal `</s>`, and texts come from the public."""
    np.testing.assert_array_equal(tokenizer(["cat</s>dog", "<unk>"]), tokenizer(["cats dog".replace(" ", ""), "unk"]))


def test_a_user_s_own_space_mark_is_a_space(tokenizer):
    np.testing.assert_array_equal(*np.split(tokenizer(["a\u2581cat", "a cat"]), 2))


def test_no_texts_are_no_rows(tokenizer):
    assert tokenizer([]).shape == (0, 64)
    assert tokenizer([]).dtype == np.int32


def test_many_threads_get_their_own_answers(tokenizer):
    texts = TEXTS * 5
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: tokenizer([text])[0], texts))
    np.testing.assert_array_equal(rows, tokenizer(texts))


def test_an_id_outside_the_embedding_is_refused(tokenizer):
    highest = int(tokenizer(["a photo of a cat"]).max())
    with pytest.raises(ValueError, match=f"token id {highest} is outside the vocabulary of {highest}"):
        SigLIPTokenizer(VOCABULARY, 64, highest)(["a photo of a cat"])


@pytest.mark.parametrize("content", [None, b"", b"no SentencePiece model"])
def test_a_missing_or_broken_vocabulary_is_named(content, tmp_path):
    path = tmp_path / "spiece.model"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"spiece\.model is not a readable SentencePiece model"):
        SigLIPTokenizer(path, 64, 400)
