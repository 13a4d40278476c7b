"""Text to token ids: canonicalise, split into pieces, end, pad. How, differs between the two generations of SigLIP.

Oracles, with `padding="max_length", truncation=True`: `transformers.SiglipTokenizer` 5.x for the first generation,
`transformers.Siglip2Tokenizer` 5.x with `add_eos_token=True, padding_side="right"` for SigLIP 2.

Two deviations. Control tokens spelt out, `</s>` or `<start_of_turn>`, are letters here, since texts come from the
public (`model.text.vocabulary`). And every SigLIP 2 gets lower-case text, as it did in training: transformers opens its
checkpoints of fixed resolution with `GemmaTokenizer`, which leaves capitals alone (huggingface/transformers#43054).
"""

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.config import CheckpointError
from model.text.vocabulary import read_vocabulary

PUNCTUATION = str.maketrans("", "", string.punctuation)


def canonicalize(text: str) -> str:
    """Returns the text as the first SigLIP was trained to see it.

    Punctuation goes before SentencePiece's own NFKC, so full-width marks survive, as in the reference:

    | text               | canonical       |
    |--------------------|-----------------|
    | `A photo, of CATS` | `a photo of cats` |
    | `snow_leopard`     | `snowleopard`   |
    | `  red\\t fox！ `   | `red fox！`      |
    """
    # U+2581 is SentencePiece's mark for a space; a user's own one must not pass for it.
    text = text.replace("\u2581", " ").lower().translate(PUNCTUATION)
    return re.sub(r"\s+", " ", text).strip()


def lower(text: str) -> str:
    """Returns the text as SigLIP 2 was trained to see it: in lower case, and otherwise as it is.

    Letter by letter, as in the reference: Python alone makes a capital sigma at the end of a word another letter.
    """
    return text.replace("Σ", "σ").lower()


@dataclass(frozen=True, kw_only=True)
class TokenizerRules:
    """What a generation of SigLIP does with text, besides its vocabulary.

    `pad` and `end` are pieces; `classes` are Hugging Face's names for such a tokenizer, the first of them for writing;
    `files` are those that may hold the vocabulary, the first that is there does.
    """

    generation: int
    canonicalize: Callable[[str], str]
    wording: str
    end: str
    pad: str
    classes: tuple[str, ...]
    files: tuple[str, ...]

    def vocabulary(self, directory: Path) -> Path:
        """Returns the vocabulary file of a checkpoint directory, or where it should be."""
        paths = [directory / name for name in self.files]
        return next((path for path in paths if path.is_file()), paths[0])


SIGLIP = TokenizerRules(
    generation=1,
    canonicalize=canonicalize,
    wording="lower case, ASCII punctuation deleted, white space collapsed",
    end="</s>",
    pad="</s>",  # SentencePiece's own <pad> is never used
    classes=("SiglipTokenizer",),
    files=("spiece.model",),
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


class SigLIPTokenizer:
    """Texts to token ids, always exactly `context_length` of them; thread-safe.

    Args:
        path: The checkpoint's vocabulary file.
        context_length: L, 64 for most checkpoints and 16 for SigLIPSo400mP14 google_224.
        vocab_size: V, the rows of the embedding; the multilingual file has 100 pieces more than that.
        rules: The generation's, or a checkpoint's own variety of them.

    Raises:
        CheckpointError: The file is missing, is no vocabulary, or lacks the piece that ends or pads a text.
    """

    def __init__(self, path: Path | str, context_length: int, vocab_size: int, rules: TokenizerRules = SIGLIP):
        self.path, self.rules = Path(path), rules
        self.context_length = context_length
        self.vocab_size = vocab_size
        self.vocabulary = read_vocabulary(self.path)
        self.end_id, self.pad_id = self.id_of(rules.end), self.id_of(rules.pad)

    def id_of(self, piece: str) -> int:
        """Returns the id of a piece that must be there."""
        number = self.vocabulary.id_of(piece)
        if number is None:
            raise CheckpointError(f"{self.path} has no piece {piece!r}, which its checkpoint's texts need")
        return number

    @property
    def canonicalisation(self) -> str:
        """What is done to a text, in words."""
        return f"{self.rules.wording}; pieces of {self.path.name}; {self.rules.end}; padded with {self.rules.pad}"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Returns token ids, [K, L] int32. The end survives truncation; an empty text is the end and padding alone."""
        token_ids = np.full((len(texts), self.context_length), self.pad_id, np.int32)
        rows = self.vocabulary.encode([self.rules.canonicalize(text) for text in texts])
        for row, pieces in zip(token_ids, rows, strict=True):
            kept = [*pieces[: self.context_length - 1], self.end_id]
            row[: len(kept)] = kept
        if token_ids.size and token_ids.max() >= self.vocab_size:
            raise ValueError(f"token id {token_ids.max()} is outside the vocabulary of {self.vocab_size}")
        return token_ids
