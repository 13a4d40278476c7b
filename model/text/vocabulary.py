"""A checkpoint's vocabulary file: text to pieces, by the libraries that the file was made for.

Two kinds: SentencePiece's own (`spiece.model`, `tokenizer.model`), and the `tokenizer.json` of Hugging Face's
tokenizers, which is all that transformers 5 saves of a Gemma tokenizer.

What marks structure is never made from text, which comes from the public: it is read as letters, as SentencePiece reads
its control pieces. Gemma's file has more such marks among its user-defined symbols, and those are made control pieces
here. Its other symbols, runs of spaces and of line ends and HTML tags, stay what they were in training: one piece.
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from model.config import CheckpointError

CONTROL = re.compile(r"<(pad|eos|bos|unk|mask|2mass|unused\d+|start_of_turn|end_of_turn)>|\[(@BOS@|multimodal)\]")


class Vocabulary(NamedTuple):
    """Texts to the ids of their pieces, without start or end; and a piece to its id, None if there is no such piece."""

    encode: Callable[[Sequence[str]], list[list[int]]]
    id_of: Callable[[str], int | None]


def read_vocabulary(path: Path) -> Vocabulary:
    """Returns what a vocabulary file does; thread-safe.

    Raises:
        CheckpointError: The file is missing, or is not of the kind that its name says.
    """
    if path.suffix == ".json":
        return read_tokenizer_json(path)
    return read_sentencepiece(path)


def read_sentencepiece(path: Path) -> Vocabulary:
    """Returns what a SentencePiece model does."""
    try:
        model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
        for piece in model.pieces:
            if piece.type == piece.USER_DEFINED and CONTROL.fullmatch(piece.piece):
                piece.type = piece.CONTROL
        pieces = sentencepiece.SentencePieceProcessor()
        pieces.LoadFromSerializedProto(model.SerializeToString())
    # The parser's DecodeError is no subclass of anything narrower.
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable SentencePiece model: {error}") from error

    def id_of(piece: str) -> int | None:
        number: int = pieces.piece_to_id(piece)
        return number if pieces.id_to_piece(number) == piece else None

    return Vocabulary(lambda texts: pieces.encode(list(texts)), id_of)


def read_tokenizer_json(path: Path) -> Vocabulary:
    """Returns what a `tokenizer.json` does."""
    from tokenizers import Tokenizer  # here: the published checkpoints have a SentencePiece model

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_str(json.dumps(without_control(values)))
    # The library raises nothing narrower.
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [row.ids for row in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    return Vocabulary(encode, tokenizer.token_to_id)


def without_control(values: dict[str, Any]) -> dict[str, Any]:
    """Returns a `tokenizer.json` in which no text leads to a control piece; the pieces keep their ids."""
    model = dict(values["model"])
    if "merges" in model:  # each a pair, or in older files one string with a space between
        merges = ((merge, merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"])
        model["merges"] = [merge for merge, pair in merges if not CONTROL.fullmatch("".join(pair))]
    added = [token for token in values.get("added_tokens", []) if not CONTROL.fullmatch(token["content"])]
    return {**values, "model": model, "added_tokens": added}
