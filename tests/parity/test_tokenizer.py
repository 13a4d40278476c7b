"""Token ids, compared with the two tokenizers of transformers, for newly trained vocabularies and the embedded one."""

import json
import random
from pathlib import Path
from shutil import copyfile

import pytest
from transformers import AutoTokenizer, GemmaTokenizer, T5Tokenizer

from model.checkpoint.hf_config import read_tokenizer_rules
from model.published import EMBEDDED, EMBEDDED_DIRECTORY
from model.text.tokenizer import SIGLIP, SIGLIP_2, SigLIPTokenizer, canonicalize, lower
from model.text.vocabulary import read_vocabulary
from tests.golden.cases import HERE, TEXTS, TEXTS_2
from tests.golden.vocabulary import SPECIAL_TOKENS, as_tokenizer_json, train_gemma_vocabulary, train_vocabulary
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
    """A unigram SentencePiece model."""
    if request.param == "embedded":
        return EMBEDDED_DIRECTORY / EMBEDDED[1] / "spiece.model"
    path = tmp_path_factory.mktemp("vocabulary") / "spiece.model"
    return train_vocabulary(path, vocab_size={"small": 400, "smaller": 310}[request.param])


def random_texts(count: int) -> list[str]:
    """Returns random strings that mix scripts, spaces and punctuation."""
    rng = random.Random(0)
    return ["".join(rng.choice(rng.choice(SCRIPTS)) for _ in range(rng.randrange(90))) for _ in range(count)]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("texts", [TEXTS, random_texts(500)], ids=["adversarial", "random"])
def test_token_ids_equal_the_reference(vocabulary, texts, length):
    ours = SigLIPTokenizer(vocabulary, length, 250_000)(texts).tolist()
    theirs = siglip_tokenizer(vocabulary)(texts, length)
    assert [text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b] == []


T5_OPTIONS = {"extra_ids": 0, "pad_token": "</s>"}  # as open_clip saves it


def saved_by_t5(vocabulary: Path, directory: Path) -> Path:
    """Saves the vocabulary by transformers' `T5Tokenizer`, which writes only a tokenizer.json, and returns its path."""
    copyfile(vocabulary, directory / "spiece.model")
    T5Tokenizer.from_pretrained(directory, **T5_OPTIONS).save_pretrained(directory / "saved")
    assert not (directory / "saved/spiece.model").exists()
    return directory / "saved/tokenizer.json"


@pytest.mark.parametrize("texts", [TEXTS, random_texts(500)], ids=["adversarial", "random"])
def test_a_tokenizer_json_of_t5_tokenizer_gives_the_ids_of_siglip_tokenizer(vocabulary, texts, tmp_path):
    path = saved_by_t5(vocabulary, tmp_path)
    rules = read_tokenizer_rules(path.parent)
    assert rules == SIGLIP
    ours = SigLIPTokenizer(rules.vocabulary(path.parent), 64, 250_000, rules)(texts).tolist()
    assert ours == siglip_tokenizer(vocabulary)(texts, 64)


def test_t5_tokenizer_itself_gives_the_same_ids_for_canonical_texts_of_known_characters(vocabulary, tmp_path):
    path = saved_by_t5(vocabulary, tmp_path)
    theirs = padded(AutoTokenizer.from_pretrained(path.parent))
    ours = SigLIPTokenizer(path, 64, 250_000)
    plain = [
        text for text in TEXTS if text.isascii() and not ours.tokenize([text]).unknown.any() and canonicalize(text)
    ]
    assert len(plain) >= 10
    assert ours(plain).tolist() == theirs([canonicalize(text) for text in plain], 64)


def test_the_tokenizer_json_of_the_other_tests_is_like_that_of_t5_tokenizer(vocabulary, tmp_path):
    theirs = json.loads(saved_by_t5(vocabulary, tmp_path).read_text())
    ours = as_tokenizer_json(vocabulary)
    assert ours["model"]["vocab"][:5] == theirs["model"]["vocab"][:5]
    for key in ("added_tokens", "normalizer", "model"):
        assert ours[key] == theirs[key]


def test_there_are_60_adversarial_texts_including_the_important_cases():
    assert len(set(TEXTS)) >= 60
    assert {"", " ", "_", "ΣΟΣ"} <= set(TEXTS)


@pytest.mark.filterwarnings("ignore:This sequence already has </s>:UserWarning")
@pytest.mark.parametrize("text", ["cat</s>dog", "hi</s>", "<unk>", "a <unk> b"])
def test_the_only_deviation_is_that_special_tokens_in_a_text_are_plain_text(vocabulary, text):
    """The reference ends a text at a literal `</s>`. Here it is plain text, because texts come from untrusted users."""
    plain = text.replace("</s>", "s").replace("<unk>", "unk")
    ours = SigLIPTokenizer(vocabulary, 64, 250_000)([text]).tolist()
    assert ours == siglip_tokenizer(vocabulary)([plain], 64)
    assert ours != siglip_tokenizer(vocabulary)([text], 64)


@pytest.fixture(scope="module", params=[560, 420])
def gemma(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `tokenizer.model` like Gemma's, the only file in its directory."""
    return train_gemma_vocabulary(tmp_path_factory.mktemp("gemma") / "tokenizer.model", vocab_size=request.param)


@pytest.fixture(scope="module")
def gemma_json(gemma: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `tokenizer.json` that transformers saves for this vocabulary."""
    directory = tmp_path_factory.mktemp("saved")
    GemmaTokenizer.from_pretrained(gemma.parent).save_pretrained(directory)
    assert not (directory / "tokenizer.model").exists(), "transformers 5 does not save a SentencePiece model"
    return directory / "tokenizer.json"


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("texts", [TEXTS_2, random_texts(500)], ids=["adversarial", "random"])
def test_siglip_2_token_ids_equal_the_reference_with_either_vocabulary_file(gemma, gemma_json, texts, length):
    theirs = siglip_2_tokenizer(gemma)(texts, length)
    for path in (gemma, gemma_json):
        ours = SigLIPTokenizer(path, length, 600, SIGLIP_2)(texts).tolist()
        assert [text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b] == []


def test_gemma_tokenizer_gives_the_same_token_ids_for_lowercase_texts(gemma):
    """transformers opens checkpoints of fixed resolution with this class, which does not lowercase texts."""
    reference = padded(GemmaTokenizer.from_pretrained(gemma.parent, **HUB_SETTINGS))
    ours = SigLIPTokenizer(gemma, 64, 600, SIGLIP_2)
    assert ours(TEXTS_2).tolist() == reference([lower(text) for text in TEXTS_2], 64)
    assert ours(["A PHOTO"]).tolist() != reference(["A PHOTO"], 64)


@pytest.mark.parametrize("token", ["<eos>", "<bos>", "<pad>", *SPECIAL_TOKENS])
def test_special_tokens_of_siglip_2_in_a_text_are_plain_text_unlike_in_the_reference(gemma, gemma_json, token):
    (theirs,) = siglip_2_tokenizer(gemma)([f"a cat{token}"], 64)
    place = len(read_vocabulary(gemma).encode(["a cat"])[0])
    assert theirs[place] == read_vocabulary(gemma).id_of(token)
    for path in (gemma, gemma_json):
        (ours,) = SigLIPTokenizer(path, 64, 600, SIGLIP_2)([f"a cat{token}"]).tolist()
        assert theirs[place] != ours[place]
        assert ours[:2] == theirs[:2]


def test_an_uppercase_tag_is_lowercased_to_one_piece_as_in_training(gemma):
    ours = SigLIPTokenizer(gemma, 64, 600, SIGLIP_2)
    assert ours(["<TABLE>"]).tolist() == ours(["<table>"]).tolist() == siglip_2_tokenizer(gemma)(["<table>"], 64)
    assert ours(["<TABLE>"]).tolist() != siglip_2_tokenizer(gemma)(["<TABLE>"], 64)


def test_the_two_vocabulary_files_differ_only_for_runs_of_more_than_31_spaces(gemma, gemma_json):
    """SentencePiece takes the longest piece first, as in training. transformers merges pairs, from `tokenizer.json`."""
    for spaces in range(2, 41):
        text = spaces * " " + "cat"
        rows = [SigLIPTokenizer(path, 64, 600, SIGLIP_2)([text]).tolist() for path in (gemma, gemma_json)]
        theirs = siglip_2_tokenizer(gemma)([text], 64)
        assert rows[1] == theirs
        assert (rows[0] == theirs) == (spaces <= 31)


def test_the_stored_siglip_2_vocabulary_is_reproducible(tmp_path):
    assert train_gemma_vocabulary(tmp_path / "tokenizer.model").read_bytes() == (HERE / "tokenizer.model").read_bytes()
