"""A small SentencePiece model of the published kind, trained on the spot."""

from pathlib import Path

import sentencepiece

PHRASE = "a photo of cat dog car bird the mountain view this is 2 in on red blue tortoise snow leopard and i"
FOREIGN = ["猫と犬", "кошка и собака", "gato y perro", "café déjà vu zürich", "σος οδυσσευς"]


def train_vocabulary(path: Path, vocab_size: int = 400) -> Path:
    """Writes a unigram model as SigLIP's are: <pad> 0, </s> 1, <unk> 2, byte fallback, NFKC; returns its path."""
    words = PHRASE.split()
    starts = [i * step for step in (1, 3, 7) for i in range(40)]
    sentences = [" ".join(words[(start + j) % len(words)] for j in range(9)) for start in starts]
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences + 9 * FOREIGN),
            model_writer=file,
            vocab_size=vocab_size,
            model_type="unigram",
            pad_id=0,
            eos_id=1,
            unk_id=2,
            bos_id=-1,
            byte_fallback=True,
            hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc",
            character_coverage=0.98,
            num_threads=1,
            minloglevel=2,
        )
    return path
