"""Converts text to token ids: canonicalise, split into pieces, append the end token, pad.

The two generations of SigLIP have different rules.

Oracles, with `padding="max_length", truncation=True`: `transformers.SiglipTokenizer` 5.x for SigLIP 1, and
`transformers.Siglip2Tokenizer` 5.x with `add_eos_token=True, padding_side="right"` for SigLIP 2.

There are two deviations. Special tokens typed by a user, such as `</s>` or `<start_of_turn>`, are treated as plain text
(`model.text.vocabulary`). And SigLIP 2 always gets lower-case text, as in its training; transformers uses
`GemmaTokenizer` for its checkpoints of fixed resolution, which keeps capitals (huggingface/transformers#43054).
"""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.config import CheckpointError
from model.text.vocabulary import SPACE, is_unigram, read_vocabulary

PUNCTUATION = str.maketrans("", "", string.punctuation)


def canonicalize(text: str) -> str:
    """Returns the text as SigLIP 1 saw it in training.

    Punctuation is deleted before SentencePiece applies NFKC, so full-width punctuation is kept, as in the reference:

    | text               | canonical       |
    |--------------------|-----------------|
    | `A photo, of CATS` | `a photo of cats` |
    | `snow_leopard`     | `snowleopard`   |
    | `  red\\t fox！ `   | `red fox！`      |
    """
    # One in a user's text must not be mistaken for the space of SentencePiece's pieces.
    text = text.replace(SPACE, " ").lower().translate(PUNCTUATION)
    return re.sub(r"\s+", " ", text).strip()


def lower(text: str) -> str:
    """Returns the text as SigLIP 2 saw it in training: in lower case, otherwise unchanged.

    Each letter is converted independently of its neighbours, as in the reference. Python's `lower` alone would turn a
    capital sigma at the end of a word into `ς`.
    """
    return text.replace("Σ", "σ").lower()


@dataclass(frozen=True, kw_only=True)
class TokenizerRules:
    """The text rules of a generation of SigLIP, except its vocabulary.

    Attributes:
        generation: 1 or 2.
        canonicalize: Applied to each text first.
        wording: Describes `canonicalize`, for `/info`.
        end: The piece that ends a text.
        pad: The piece that fills the remaining positions.
        classes: Hugging Face's names for such a tokenizer; the first one is written to new checkpoints.
        files: Names of vocabulary files; the first one that exists is read.
    """

    generation: int
    canonicalize: Callable[[str], str]
    wording: str
    end: str
    pad: str
    classes: tuple[str, ...]
    files: tuple[str, ...]

    def vocabulary(self, directory: Path) -> Path:
        """Returns the vocabulary file of a checkpoint directory, or if there is none, the path where it should be."""
        paths = [directory / name for name in self.files]
        return next((path for path in paths if path.is_file()), paths[0])

    def fits(self, path: Path) -> bool:
        """Returns whether a vocabulary file exists and is of this generation: only the first has unigram models."""
        return path.is_file() and (path.suffix != ".json" or is_unigram(path) == (self.generation == 1))


SIGLIP = TokenizerRules(
    generation=1,
    canonicalize=canonicalize,
    wording="lower case, ASCII punctuation deleted, white space collapsed",
    end="</s>",
    pad="</s>",  # the vocabulary has a <pad>, which SigLIP 1 never uses
    classes=("SiglipTokenizer", "SiglipTokenizerFast", "T5Tokenizer", "T5TokenizerFast"),
    files=("spiece.model", "tokenizer.json"),
)
SIGLIP_2 = TokenizerRules(
    generation=2,
    canonicalize=lower,
    wording="lower case",
    end="<eos>",
    pad="<pad>",
    classes=("GemmaTokenizer", "GemmaTokenizerFast", "Siglip2Tokenizer"),
    files=("tokenizer.model", "tokenizer.json"),
)


class Tokens(NamedTuple):
    """K texts as the text tower reads them, and what it does not see of them.

    Attributes:
        ids: Token ids, [K, L] int32.
        truncated: [K] bool: whether the text has more pieces than fit.
        unknown: [K] bool: whether a piece is unknown or a byte, because the vocabulary was not trained on it.
        lengths: [K] int: the number of tokens with the end, without padding; at most L.
    """

    ids: np.ndarray
    truncated: np.ndarray
    unknown: np.ndarray
    lengths: np.ndarray


class SigLIPTokenizer:
    """Converts texts to token ids, exactly `context_length` per text; thread-safe.

    Args:
        path: The checkpoint's vocabulary file.
        context_length: L, 64 for most checkpoints and 16 for SigLIPSo400mP14 google_224.
        vocab_size: V, the rows of the embedding table. The multilingual file has 100 more pieces than V.
        rules: The rules of the generation, or a checkpoint's variant of them.

    Raises:
        CheckpointError: The file is missing, is not a vocabulary, or has no piece to end or to pad a text.
    """

    def __init__(self, path: Path | str, context_length: int, vocab_size: int, rules: TokenizerRules = SIGLIP):
        self.path, self.rules = Path(path), rules
        self.context_length = context_length
        self.vocab_size = vocab_size
        self.vocabulary = read_vocabulary(self.path)
        self.end_id, self.pad_id = self.id_of(rules.end), self.id_of(rules.pad)
        self._unknown = self._with_ids(self.vocabulary.unknown)
        self._unreadable = self._with_ids([*self.vocabulary.unknown, *self.vocabulary.blank, self.end_id, self.pad_id])

    def id_of(self, piece: str) -> int:
        """Returns the id of a piece, or raises a CheckpointError if the vocabulary does not have it."""
        number = self.vocabulary.id_of(piece)
        if number is None:
            raise CheckpointError(f"{self.path} has no piece {piece!r}, which is needed to end or to pad texts")
        return number

    @property
    def canonicalisation(self) -> str:
        """A description of the tokenizer's rules, for `/info`."""
        rules = self.rules
        return f"{rules.wording}; pieces of {self.path.name}; ends with {rules.end}; padded with {rules.pad}"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Returns token ids, [K, L] int32. A truncated text still has its end; an empty one is only end and padding."""
        return self.tokenize(texts).ids

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Returns token ids as a call does, their number, and which texts are truncated or have unknown pieces."""
        token_ids = np.full((len(texts), self.context_length), self.pad_id, np.int32)
        rows = self.vocabulary.encode([self.rules.canonicalize(text) for text in texts])
        for row, pieces in zip(token_ids, rows, strict=True):
            kept = [*pieces[: self.context_length - 1], self.end_id]
            row[: len(kept)] = kept
        if token_ids.size and token_ids.max() >= self.vocab_size:
            raise ValueError(f"token id {token_ids.max()} is outside the vocabulary of {self.vocab_size}")
        counts = np.fromiter(map(len, rows), int, len(rows))
        unknown = np.asarray(self._unknown[token_ids].any(axis=1))
        return Tokens(token_ids, counts >= self.context_length, unknown, np.minimum(counts + 1, self.context_length))

    def is_readable(self, texts: Sequence[str]) -> np.ndarray:
        """Returns whether each text has a piece that the vocabulary was trained on, [K] bool.

        With the vocabulary of the English checkpoints:

        | text     | pieces               | readable                        |
        |----------|----------------------|---------------------------------|
        | `cat 猫` | `▁cat`, `▁`, unknown | yes                             |
        | `猫`     | `▁`, unknown         | no                              |
        | `?!`     |                      | no: the canonical text is empty |
        """
        readable: np.ndarray = ~self._unreadable[self(texts)].all(axis=1)
        return readable

    def _with_ids(self, ids: list[int]) -> np.ndarray:
        """Returns for each row of the embedding table whether its id is listed, [V] bool."""
        listed = np.zeros(self.vocab_size, bool)
        listed[[number for number in ids if number < self.vocab_size]] = True
        return listed
