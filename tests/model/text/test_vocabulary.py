"""Both kinds of vocabulary file, and the special tokens that no text can produce."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.config import CheckpointError
from model.text.vocabulary import CONTROL, Vocabulary, is_unigram, read_vocabulary, sentencepiece_bytes
from tests.golden.cases import HERE, TEXTS
from tests.golden.vocabulary import RUNS, SPECIAL_TOKENS, TAGS, as_tokenizer_json

FILES = ("tokenizer.model", "tokenizer.json")
CONTROLS = ["<pad>", "<eos>", "<bos>", "<unk>", *SPECIAL_TOKENS]


@pytest.fixture(params=FILES)
def vocabulary(request) -> Vocabulary:
    return read_vocabulary(HERE / request.param)


@pytest.mark.parametrize("token", CONTROLS)
def test_special_tokens_in_a_text_are_treated_as_plain_text(vocabulary, token):
    token_id = vocabulary.id_of(token)
    assert token_id is not None
    for text in (token, f"a {token}", f"{token}cat", token * 2):
        (ids,) = vocabulary.encode([text])
        assert token_id not in ids
        assert len(ids) > 2


@pytest.mark.parametrize("symbol", RUNS + TAGS)
def test_runs_of_whitespace_and_html_tags_stay_one_piece_as_in_training(vocabulary, symbol):
    text = symbol.replace("\u2581", " ")
    assert vocabulary.encode([text, f"a{text}b"]) == [
        [vocabulary.id_of(symbol)],
        [vocabulary.id_of("a"), vocabulary.id_of(symbol), *vocabulary.encode(["b"])[0]],
    ]


def test_the_id_of_an_unknown_piece_is_none(vocabulary):
    assert vocabulary.id_of("</table>") is not None
    assert vocabulary.id_of("no such piece") is None


def test_merges_never_produce_a_special_token_in_old_and_new_file_formats(tmp_path):
    values = json.loads((HERE / "tokenizer.json").read_text())
    values["model"]["vocab"] |= {"<": 600, "<e": 601, "<eo": 602, ">": 603, "s>": 604}
    pairs = [["<", "e"], ["<e", "o"], ["s", ">"], ["<eo", "s>"]]
    for number, merges in enumerate((pairs, [" ".join(pair) for pair in pairs])):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({**values, "model": values["model"] | {"merges": merges}}))
        assert read_vocabulary(path).encode(["<eos>"]) == [[602, 604]]


def test_truncation_and_padding_saved_in_the_file_are_ignored(tmp_path):
    values = json.loads((HERE / "tokenizer.json").read_text())
    values["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    values["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    expected = read_vocabulary(HERE / "tokenizer.json").encode(["a photo of a cat"])
    assert read_vocabulary(tmp_path / "tokenizer.json").encode(["a photo of a cat"]) == expected
    assert len(expected[0]) == 5


@pytest.mark.parametrize("piece", ["<table>", "</s>", "<s>", "\n\n", "\u2581\u2581", "cat", "<unused>", "<0x41>"])
def test_ordinary_symbols_are_not_special_tokens(piece):
    assert not CONTROL.fullmatch(piece)


UNIGRAM = HERE / "spiece.model"


def written(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps({**as_tokenizer_json(UNIGRAM), **changes}))
    return path


@pytest.mark.parametrize("plain", [False, True])
def test_a_unigram_tokenizer_json_gives_the_ids_of_its_sentencepiece_model(plain, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(as_tokenizer_json(UNIGRAM, plain=plain)))
    ours, theirs = read_vocabulary(path), read_vocabulary(UNIGRAM)
    texts = [*TEXTS, "</s>", "<unk>", "＜pad＞", "<0x41>"]
    assert ours.encode(texts) == theirs.encode(texts)
    assert (sorted(ours.unknown), ours.blank) == (sorted(theirs.unknown), theirs.blank)
    assert [ours.id_of(piece) for piece in ("</s>", "<pad>", "nothing")] == [1, 0, None]


def test_older_files_have_the_normalisation_in_a_sequence(tmp_path):
    normalizer = as_tokenizer_json(UNIGRAM)["normalizer"]
    strip = {"type": "Strip", "strip_left": False, "strip_right": True}
    path = written(tmp_path / "tokenizer.json", normalizer={"type": "Sequence", "normalizers": [normalizer, strip]})
    assert sentencepiece_bytes(path) == sentencepiece_bytes(written(tmp_path / "plain.json"))


def test_a_word_of_the_vocabulary_that_was_also_added_stays_a_word(tmp_path):
    plain = as_tokenizer_json(UNIGRAM)
    added = [*plain["added_tokens"], {"id": 300, "content": plain["model"]["vocab"][300][0], "special": False}]
    path = written(tmp_path / "tokenizer.json", added_tokens=added)
    assert read_vocabulary(path).encode(TEXTS) == read_vocabulary(UNIGRAM).encode(TEXTS)


def test_a_piece_that_looks_like_the_type_of_a_model_is_not_mistaken_for_it(tmp_path):
    values = json.loads((HERE / "tokenizer.json").read_text(encoding="utf-8"))
    values["model"]["vocab"]['"type": "Unigram"'] = 600
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    assert not is_unigram(tmp_path / "tokenizer.json")
    assert is_unigram(written(tmp_path / "tokenizer.json"))


def test_the_error_for_a_missing_vocabulary_says_what_to_save(tmp_path):
    with pytest.raises(CheckpointError, match=r"has no vocabulary file, such as spiece\.model. Save the processor"):
        read_vocabulary(tmp_path / "spiece.model")


UNREADABLE = b'{"model": {"type": "Unigram", "vocab": [], "unk_id": null}}'


@pytest.mark.parametrize("content", [b"", b"no SentencePiece model", b"{}", b'{"model": 1}', UNREADABLE])
@pytest.mark.parametrize("name", ["spiece.model", *FILES])
def test_the_error_names_a_damaged_vocabulary_file(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    kind = "tokenizer.json" if name.endswith("json") else "SentencePiece model"
    with pytest.raises(CheckpointError, match=f"{name} is not a readable {kind}"):
        read_vocabulary(path)
