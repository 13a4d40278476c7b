"""Token ids against `transformers.SiglipTokenizer`, for vocabularies trained here and the embedded one."""

import random
from pathlib import Path

import pytest
from transformers import SiglipTokenizer

from model.config import EMBEDDED, EMBEDDED_DIRECTORY
from model.tokenizer import SigLIPTokenizer
from tests.golden.cases import TEXTS
from tests.golden.vocabulary import train_vocabulary

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


def reference_ids(vocabulary: Path, texts: list[str], length: int) -> list[list[int]]:
    tokenizer = SiglipTokenizer(str(vocabulary))
    return tokenizer(texts, padding="max_length", truncation=True, max_length=length)["input_ids"]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("texts", [TEXTS, chance_texts(500)], ids=["adversarial", "chance"])
def test_token_ids_are_the_reference_s(vocabulary, texts, length):
    ours = SigLIPTokenizer(vocabulary, length, 250_000)(texts).tolist()
    theirs = reference_ids(vocabulary, texts, length)
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
    assert ours == reference_ids(vocabulary, [letters], 64)
    assert ours != reference_ids(vocabulary, [text], 64)
