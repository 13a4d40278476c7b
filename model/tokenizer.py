"""Text to token ids: canonicalise, SentencePiece, end, pad.

Oracle: `transformers.SiglipTokenizer` 5.x with `padding="max_length", truncation=True`. One deviation: the literal
texts `</s>` and `<unk>` are letters here, not control tokens, since texts come from the public.
"""

import re
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sentencepiece

from model.config import CheckpointError

END_ID = 1  # </s>, which is also what SigLIP pads with; SentencePiece's own <pad> is never used
PUNCTUATION = str.maketrans("", "", string.punctuation)
CANONICALISATION = "lower case, ASCII punctuation deleted, white space collapsed; SentencePiece; </s>; padded with </s>"


def canonicalize(text: str) -> str:
    """Returns the text as SigLIP was trained to see it.

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


class SigLIPTokenizer:
    """Texts to token ids, always exactly `context_length` of them; thread-safe.

    Args:
        path: The checkpoint's `spiece.model`.
        context_length: L, 64 for most checkpoints and 16 for SigLIPSo400mP14 google_224.
        vocab_size: V, the rows of the embedding; the multilingual file has 100 pieces more than that.

    Raises:
        CheckpointError: The file is missing or is no SentencePiece model.
    """

    def __init__(self, path: Path | str, context_length: int, vocab_size: int):
        self.context_length = context_length
        self.vocab_size = vocab_size
        try:
            self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            raise CheckpointError(f"{path} is not a readable SentencePiece model: {error}") from error

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Returns token ids, [K, L] int32. </s> survives truncation; an empty text is </s> throughout."""
        token_ids = np.full((len(texts), self.context_length), END_ID, np.int32)
        for row, pieces in zip(token_ids, self.pieces.encode([canonicalize(text) for text in texts]), strict=True):
            kept = pieces[: self.context_length - 1]
            row[: len(kept)] = kept
        if token_ids.size and token_ids.max() >= self.vocab_size:
            raise ValueError(f"token id {token_ids.max()} is outside the vocabulary of {self.vocab_size}")
        return token_ids
