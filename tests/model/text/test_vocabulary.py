"""Both kinds of vocabulary file, and what no text may say."""

import json

import pytest

from model.config import CheckpointError
from model.text.vocabulary import CONTROL, Vocabulary, read_vocabulary
from tests.golden.cases import HERE
from tests.golden.vocabulary import MARKS, RUNS, TAGS

FILES = ("tokenizer.model", "tokenizer.json")
CONTROLS = ["<pad>", "<eos>", "<bos>", "<unk>", *MARKS]


@pytest.fixture(params=FILES)
def vocabulary(request) -> Vocabulary:
    return read_vocabulary(HERE / request.param)


@pytest.mark.parametrize("mark", CONTROLS)
def test_marks_of_structure_spelt_out_are_letters(vocabulary, mark):
    number = vocabulary.id_of(mark)
    assert number is not None
    for text in (mark, f"a {mark}", f"{mark}cat", mark * 2):
        (ids,) = vocabulary.encode([text])
        assert number not in ids
        assert len(ids) > 2


@pytest.mark.parametrize("symbol", RUNS + TAGS)
def test_runs_and_tags_are_one_piece_as_they_were_in_training(vocabulary, symbol):
    text = symbol.replace("\u2581", " ")
    assert vocabulary.encode([text, f"a{text}b"]) == [
        [vocabulary.id_of(symbol)],
        [vocabulary.id_of("a"), vocabulary.id_of(symbol), *vocabulary.encode(["b"])[0]],
    ]


def test_an_unknown_piece_has_no_id(vocabulary):
    assert vocabulary.id_of("</table>") is not None
    assert vocabulary.id_of("no such piece") is None


def test_no_merge_leads_to_a_mark_in_old_files_and_new_ones(tmp_path):
    values = json.loads((HERE / "tokenizer.json").read_text())
    values["model"]["vocab"] |= {"<": 600, "<e": 601, "<eo": 602, ">": 603, "s>": 604}
    pairs = [["<", "e"], ["<e", "o"], ["s", ">"], ["<eo", "s>"]]
    for number, merges in enumerate((pairs, [" ".join(pair) for pair in pairs])):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({**values, "model": values["model"] | {"merges": merges}}))
        assert read_vocabulary(path).encode(["<eos>"]) == [[602, 604]]


def test_a_length_that_was_saved_with_a_file_is_not_heeded(tmp_path):
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
def test_ordinary_symbols_are_no_marks_of_structure(piece):
    assert not CONTROL.fullmatch(piece)


@pytest.mark.parametrize("content", [None, b"", b"no SentencePiece model", b"{}", b'{"model": 1}'])
@pytest.mark.parametrize("name", ["spiece.model", *FILES])
def test_a_missing_or_broken_vocabulary_is_named(name, content, tmp_path):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    kind = "tokenizer.json" if name.endswith("json") else "SentencePiece model"
    with pytest.raises(CheckpointError, match=f"{name} is not a readable {kind}"):
        read_vocabulary(path)
