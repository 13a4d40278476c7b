"""Reads a checkpoint's vocabulary file and splits texts into its pieces, with the library that the file was made for.

There are two kinds of files: SentencePiece models (`spiece.model`, `tokenizer.model`), and the `tokenizer.json` of
Hugging Face's tokenizers, the only file that transformers 5 saves for a Gemma or T5 tokenizer. A unigram model of
the second kind is converted back to a SentencePiece model, because the rules that Hugging Face's library applies to it
differ between versions.

Special tokens typed by a user are treated as plain text. SentencePiece does so for its control pieces. In Gemma's file
further special tokens are user-defined symbols; this module changes those to control pieces. Its other symbols (runs of
spaces or line ends, HTML tags) remain single pieces, as in training.
"""

import base64
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from model.config import CheckpointError

SPACE = "\u2581"  # stands for a space in pieces
UNIGRAM = re.compile(r'"type":\s*"Unigram"')
LFS = b"version https://git-lfs"
NORMALIZER = "nmt_nfkc"  # of the vocabularies of SigLIP 1, if the file has none
BYTE = re.compile("<0x[0-9A-F]{2}>")  # a byte of UTF-8, used where no other piece fits
CONTROL = re.compile(r"<(pad|eos|bos|unk|mask|2mass|unused\d+|start_of_turn|end_of_turn)>|\[(@BOS@|multimodal)\]")


class Vocabulary(NamedTuple):
    """A vocabulary's pieces and their ids.

    Attributes:
        encode: Converts texts to piece ids, without start and end.
        id_of: Converts a piece to its id, or None if there is no such piece.
        unknown: Ids of the pieces for what the vocabulary was not trained on: the unknown piece, and single bytes.
        blank: Ids of the pieces that are only spaces.
    """

    encode: Callable[[Sequence[str]], list[list[int]]]
    id_of: Callable[[str], int | None]
    unknown: list[int]
    blank: list[int]


def read_vocabulary(path: Path) -> Vocabulary:
    """Returns the vocabulary of a file; thread-safe.

    Raises:
        CheckpointError: The file is missing, or its content does not match its name.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path.parent} has no vocabulary file, such as {path.name}. Save the processor into it too: "
            "processor.save_pretrained"
        )
    if is_lfs_pointer(path):
        raise CheckpointError(f"{path} is only a pointer of Git LFS. Fetch the file: git lfs pull")
    if path.suffix == ".json" and not is_unigram(path):
        return read_tokenizer_json(path)
    return read_sentencepiece(path)


def is_lfs_pointer(path: Path) -> bool:
    """Returns whether a file has only the pointer that Git stores instead of a large file."""
    with path.open("rb") as file:
        return file.read(len(LFS)) == LFS


def is_unigram(path: Path) -> bool:
    """Returns whether a `tokenizer.json` has a unigram model. Quotes in its pieces are escaped, so none matches."""
    return UNIGRAM.search(path.read_text(encoding="utf-8", errors="replace")) is not None


def read_sentencepiece(path: Path) -> Vocabulary:
    """Returns the vocabulary of a SentencePiece model, or of a `tokenizer.json` with a unigram model."""
    try:
        model = sentencepiece_model_pb2.ModelProto.FromString(sentencepiece_bytes(path))
        for piece in model.pieces:
            if piece.type == piece.USER_DEFINED and CONTROL.fullmatch(piece.piece):
                piece.type = piece.CONTROL
        pieces = sentencepiece.SentencePieceProcessor()
        pieces.LoadFromSerializedProto(model.SerializeToString())
    # The parser's DecodeError has no narrower base class.
    except Exception as error:
        kind = "tokenizer.json" if path.suffix == ".json" else "SentencePiece model"
        raise CheckpointError(f"{path} is not a readable {kind}: {error}") from error

    def id_of(piece: str) -> int | None:
        number: int = pieces.piece_to_id(piece)
        return number if pieces.id_to_piece(number) == piece else None

    unknown = [id_ for id_, piece in enumerate(model.pieces) if piece.type in (piece.UNKNOWN, piece.BYTE)]
    blank = [id_ for id_, piece in enumerate(model.pieces) if is_blank(piece.piece)]
    return Vocabulary(lambda texts: pieces.encode(list(texts)), id_of, unknown, blank)


def sentencepiece_bytes(path: Path) -> bytes:
    """Returns the content of a SentencePiece model, which is made if the file is a unigram `tokenizer.json`."""
    if path.suffix != ".json":
        return path.read_bytes()
    content: bytes = as_sentencepiece(json.loads(path.read_text(encoding="utf-8"))).SerializeToString()
    return content


def as_sentencepiece(values: dict[str, Any]) -> sentencepiece_model_pb2.ModelProto:
    """Returns the SentencePiece model that the unigram model of a `tokenizer.json` was made of.

    Pieces of single bytes are used for unknown characters if all 256 exist, as in training, whatever the file says:
    transformers' `T5Tokenizer` does not use them.
    """
    model = sentencepiece_model_pb2.ModelProto()
    kinds = model.SentencePiece
    names = {token["content"] for token in values.get("added_tokens", []) if token.get("special")}
    for number, (piece, score) in enumerate(values["model"]["vocab"]):
        kind = kinds.CONTROL if piece in names else kinds.BYTE if BYTE.fullmatch(piece) else kinds.NORMAL
        kind = kinds.UNKNOWN if number == values["model"]["unk_id"] else kind
        model.pieces.add(piece=piece, score=score, type=kind)
    model.trainer_spec.model_type = model.trainer_spec.UNIGRAM
    model.trainer_spec.byte_fallback = sum(piece.type == kinds.BYTE for piece in model.pieces) == 256
    normalizer = values.get("normalizer") or {}
    steps = [normalizer, *normalizer.get("normalizers", [])]
    maps = [step["precompiled_charsmap"] for step in steps if step.get("precompiled_charsmap")]
    if maps:
        model.normalizer_spec.precompiled_charsmap = base64.b64decode(maps[0])
    else:
        usual = sentencepiece.SentencePieceNormalizer(rule_name=NORMALIZER).serialized_normalizer_spec()
        model.normalizer_spec.ParseFromString(usual)
    return model


def read_tokenizer_json(path: Path) -> Vocabulary:
    """Returns the vocabulary of a `tokenizer.json`."""
    from tokenizers import Tokenizer  # imported here: published checkpoints have a SentencePiece model instead

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_str(json.dumps(without_control(values)))
    # The library has no narrower exception.
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable tokenizer.json: {error}") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def encode(texts: Sequence[str]) -> list[list[int]]:
        return [row.ids for row in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    ids = tokenizer.get_vocab()
    unknown = [id_ for piece, id_ in ids.items() if BYTE.fullmatch(piece) or piece == values["model"].get("unk_token")]
    blank = [id_ for piece, id_ in ids.items() if is_blank(piece)]
    return Vocabulary(encode, tokenizer.token_to_id, unknown, blank)


def is_blank(piece: str) -> bool:
    """Returns whether a piece is only spaces."""
    return not piece.replace(SPACE, " ").strip()


def without_control(values: dict[str, Any]) -> dict[str, Any]:
    """Returns a `tokenizer.json` that never makes a control piece from text; all pieces keep their ids."""
    model = dict(values["model"])
    if "merges" in model:  # each merge is a pair; in older files a string with a space
        merges = ((merge, merge.split(" ") if isinstance(merge, str) else merge) for merge in model["merges"])
        model["merges"] = [merge for merge, pair in merges if not CONTROL.fullmatch("".join(pair))]
    added = [token for token in values.get("added_tokens", []) if not CONTROL.fullmatch(token["content"])]
    return {**values, "model": model, "added_tokens": added}
