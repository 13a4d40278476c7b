"""Token ids against transformers' two tokenizers, for vocabularies trained here and the embedded one."""

import random
from pathlib import Path

import pytest
from transformers import GemmaTokenizer

from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from model.text.tokenizer import SIGLIP_2, SigLIPTokenizer, lower
from model.text.vocabulary import read_vocabulary
from tests.golden.cases import HERE, TEXTS, TEXTS_2
from tests.golden.vocabulary import MARKS, train_gemma_vocabulary, train_vocabulary
from tests.parity.reference import HUB_SETTINGS, padded, siglip_2_tokenizer, siglip_tokenizer

LENGTHS = (64, 16)
SCRIPTS = [
    "abcXYZ012",
    " \t\n\u3000\u200b\u2581",
    "!?_-.,'\"(){}[]<>@#/\\",
    "ΣσςΑά",
    "猫犬のカ가",
    "عربيעברי",
    "é\u0301\u0327ñ",
    "🦊👍🏽\u200d❤\ufe0f",
]


@pytest.fixture(scope="module", params=["small", "smaller", "embedded"])
def vocabulary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model."""
    if request.param == "embedded":
        return EMBEDDED_DIRECTORY / EMBEDDED[1] / "spiece.model"
    path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
    return train_vocabulary(path, vocab_size={"small": 400, "smaller": 310}[request.param])


def chance_texts(count: int) -> list[str]:
    """Returns strings that mix scripts, spaces and marks without sense."""
    dice = random.Random(0)
    return ["".join(dice.choice(dice.choice(SCRIPTS)) for _ in range(dice.randrange(90))) for _ in range(count)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("texts", [TEXTS, chance_texts(500)], ids=["adversarial", "chance"])
def test_token_ids_are_the_reference_s(vocabulary, texts, length):
    ours = SigLIPTokenizer(vocabulary, length, 250_000)(texts).tolist()
    theirs = siglip_tokenizer(vocabulary)(texts, length)
    assert [text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b] == []


def test_the_adversarial_strings_are_many_and_use_bytes_and_every_piece_of_the_rule():
    assert len(set(TEXTS)) >= 60
    assert {"", " ", "_", "ΣΟΣ"} <= set(TEXTS)


@pytest.mark.filterwarnings("ignore:This sequence already has </s>:UserWarning")
@pytest.mark.parametrize("text", ["cat</s>dog", "hi</s>", "<unk>", "a <unk> b"])
def test_the_one_deviation_is_that_control_tokens_spelt_out_are_letters(vocabulary, text):
    """The reference obeys `</s>` in the middle of a text; ours come from the public and are read as letters."""
    letters = text.replace("</s>", "s").replace("<unk>", "unk")
    ours = SigLIPTokenizer(vocabulary, 64, 250_000)([text]).tolist()
    assert ours == siglip_tokenizer(vocabulary)([letters], 64)
    assert ours != siglip_tokenizer(vocabulary)([text], 64)


@pytest.fixture(scope="module", params=[560, 420])
def gemma(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `tokenizer.model` as Gemma's is, alone in its directory."""
    return train_gemma_vocabulary(tmp_path_factory.mktemp("gemma") / "tokenizer.model", vocab_size=request.param)


@pytest.fixture(scope="module")
def gemma_json(gemma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `tokenizer.json` that transformers saves of it."""
    directory = tmp_path_factory.mktemp("saved")
    GemmaTokenizer.from_pretrained(gemma.parent).save_pretrained(directory)
    assert not (directory / "tokenizer.model").exists(), "transformers 5 saves no SentencePiece model"
    return directory / "tokenizer.json"


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("texts", [TEXTS_2, chance_texts(500)], ids=["adversarial", "chance"])
def test_token_ids_of_siglip_2_are_the_reference_s_from_either_file(gemma, gemma_json, texts, length):
    theirs = siglip_2_tokenizer(gemma)(texts, length)
    for path in (gemma, gemma_json):
        ours = SigLIPTokenizer(path, length, 600, SIGLIP_2)(texts).tolist()
        assert [text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b] == []


def test_the_tokenizer_of_the_published_files_gives_them_too_for_texts_in_lower_case(gemma):
    """At a fixed resolution transformers opens a checkpoint with this class, which does not lower a text itself."""
    reference = padded(GemmaTokenizer.from_pretrained(gemma.parent, **HUB_SETTINGS))
    ours = SigLIPTokenizer(gemma, 64, 600, SIGLIP_2)
    assert ours(TEXTS_2).tolist() == reference([lower(text) for text in TEXTS_2], 64)
    assert ours(["A PHOTO"]).tolist() != reference(["A PHOTO"], 64)


@pytest.mark.parametrize("mark", ["<eos>", "<bos>", "<pad>", *MARKS])
def test_the_marks_that_siglip_2_s_reference_obeys_are_letters(gemma, gemma_json, mark):
    (theirs,), place = siglip_2_tokenizer(gemma)([f"a cat{mark}"], 64), len(read_vocabulary(gemma).encode(["a cat"])[0])
    assert theirs[place] == read_vocabulary(gemma).id_of(mark)
    for path in (gemma, gemma_json):
        (ours,) = SigLIPTokenizer(path, 64, 600, SIGLIP_2)([f"a cat{mark}"]).tolist()
        assert theirs[place] != ours[place]
        assert ours[:2] == theirs[:2]


def test_a_tag_in_capitals_is_a_tag_as_it_was_in_training_where_text_was_lowered_first(gemma):
    ours = SigLIPTokenizer(gemma, 64, 600, SIGLIP_2)
    assert ours(["<TABLE>"]).tolist() == ours(["<table>"]).tolist() == siglip_2_tokenizer(gemma)(["<table>"], 64)
    assert ours(["<TABLE>"]).tolist() != siglip_2_tokenizer(gemma)(["<TABLE>"], 64)


def test_only_a_run_of_more_spaces_than_any_piece_has_is_split_otherwise_by_either_file(gemma, gemma_json):
    """SentencePiece takes the longest piece first, as in training; transformers merges pairs, from `tokenizer.json`."""
    for spaces in range(2, 41):
        text = spaces * " " + "cat"
        rows = [SigLIPTokenizer(path, 64, 600, SIGLIP_2)([text]).tolist() for path in (gemma, gemma_json)]
        theirs = siglip_2_tokenizer(gemma)([text], 64)
        assert rows[1] == theirs
        assert (rows[0] == theirs) == (spaces <= 31)


def test_the_stored_vocabulary_of_siglip_2_is_still_made_alike(tmp_path):
    assert train_gemma_vocabulary(tmp_path / "tokenizer.model").read_bytes() == (HERE / "tokenizer.model").read_bytes()
