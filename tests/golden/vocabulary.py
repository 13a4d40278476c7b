"""Trains small SentencePiece models of the two published kinds."""

import base64
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

PHRASE = "a photo of cat dog car bird the mountain view this is 2 in on red blue tortoise snow leopard and i"
FOREIGN = ["猫と犬", "кошка и собака", "gato y perro", "café déjà vu zürich", "σος οδυσσευς"]


# In the order of Gemma's file: special tokens, then runs of newlines and of spaces, then HTML tags.
SPECIAL_TOKENS = [
    "<mask>",
    "<2mass>",
    "[@BOS@]",
    *(f"<unused{i}>" for i in range(4)),
    "<start_of_turn>",
    "<end_of_turn>",
]
RUNS = [*("\n" * i for i in range(1, 32)), *("\u2581" * i for i in range(2, 32))]
TAGS = ["<table>", "</table>", "<b>", "</b>", "<s>", "<sup>"]


def sentences() -> list[str]:
    """Returns the sentences that both vocabularies are trained on."""
    words = PHRASE.split()
    starts = [i * step for step in (1, 3, 7) for i in range(40)]
    return [" ".join(words[(start + j) % len(words)] for j in range(9)) for start in starts] + 9 * FOREIGN


def train_vocabulary(path: Path, vocab_size: int = 400) -> Path:
    """Trains a unigram model like SigLIP's (<pad> 0, </s> 1, <unk> 2, byte fallback, NFKC) and returns its path."""
    kind = {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc"}
    return train(path, vocab_size=vocab_size, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, **kind)


def train_gemma_vocabulary(path: Path, vocab_size: int = 560) -> Path:
    """Trains a byte-pair model like Gemma's and returns its path.

    Its ids are <pad> 0, <eos> 1, <bos> 2, <unk> 3, and it does not normalise text.
    """
    return train(
        path,
        vocab_size=vocab_size,
        model_type="bpe",
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        eos_piece="<eos>",
        bos_piece="<bos>",
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        user_defined_symbols=SPECIAL_TOKENS + RUNS + TAGS,
    )


def as_tokenizer_json(vocabulary: Path, *, plain: bool = False) -> dict[str, Any]:
    """Returns the `tokenizer.json` of a unigram SentencePiece model, as transformers' `T5Tokenizer` writes it.

    Args:
        vocabulary: The SentencePiece model.
        plain: Whether the file lacks the normalisation.
    """
    model = sentencepiece_model_pb2.ModelProto.FromString(vocabulary.read_bytes())
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    options = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id_, "content": model.pieces[id_].piece, **options} for id_ in range(3)],
        "normalizer": None if plain else {"type": "Precompiled", "precompiled_charsmap": charsmap},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True},
        "model": {
            "type": "Unigram",
            "unk_id": 2,
            "vocab": [[piece.piece, piece.score] for piece in model.pieces],
            "byte_fallback": False,
        },
    }


def train(path: Path, **options: object) -> Path:
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences()),
            model_writer=file,
            byte_fallback=True,
            hard_vocab_limit=False,
            character_coverage=0.98,
            num_threads=1,
            minloglevel=2,
            **options,
        )
    return path
