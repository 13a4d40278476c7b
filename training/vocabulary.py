"""Trains the SentencePiece vocabulary of the embedded model.

The special pieces have the ids that Hugging Face's SiglipTokenizer uses: pad 0, end 1, unknown 2, no beginning.
"""

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from tempfile import NamedTemporaryFile
from typing import Any

import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from model.text.tokenizer import canonicalize

VOCAB_SIZE = 8192
MAX_PIECE_LENGTH = 16
WORD_START = "\u2581"  # SentencePiece's mark for a space
MAX_TOKENS = 15  # the model reads 16; the last one ends the text

# Filled with the name of every concept, so that common prompts need few pieces. The English ones are used in every
# language, because the service's default template is English.
ENGLISH_TEMPLATES = ("this is a photo of {}", "a photo of a {}")
TEMPLATES = {
    "en": (
        "a photo of the {}",
        "a picture of a {}",
        "a picture of the {}",
        "a drawing of a {}",
        "an icon of {}",
        "an emoji of a {}",
        "a pictogram of {}",
        "an illustration of a {}",
    ),
    "es": ("esto es una foto de {}", "una imagen de {}", "un emoji de {}"),
    "fr": ("ceci est une photo de {}", "une image de {}", "un émoji de {}"),
    "de": ("dies ist ein foto von {}", "ein bild von {}", "ein emoji von {}"),
    "it": ("questa è una foto di {}", "una immagine di {}", "un emoji di {}"),
    "pt": ("isto é uma foto de {}", "uma imagem de {}", "um emoji de {}"),
    "nl": ("dit is een foto van {}", "een afbeelding van {}", "een emoji van {}"),
    "pl": ("to jest zdjęcie {}", "obraz {}", "emotikon {}"),
    "ru": ("это фото {}", "изображение {}", "эмодзи {}"),
    "ar": ("هذه صورة {}", "رمز {}"),
    "hi": ("यह {} की तस्वीर है", "{} का इमोजी"),
    "zh": ("这是一张{}的照片", "一张{}的图片", "{}表情符号"),
    "ja": ("これは{}の写真です", "{}の絵", "{}の絵文字"),
    "ko": ("이것은 {} 사진입니다", "{} 그림", "{} 이모지"),
}


def corpus(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the sentences to train on: every keyword and name, and every name in its language's templates."""
    sentences = []
    for row in rows:
        for language, text in row["texts"].items():
            templates = ("{}", *ENGLISH_TEMPLATES, *TEMPLATES[language])
            sentences += [template.replace("{}", text["name"]) for template in templates]
            sentences += text["keywords"]
    return [canonicalize(sentence) for sentence in sentences]


def seeds(sentences: Iterable[str]) -> list[tuple[str, int]]:
    """Returns the pieces that training starts from, with their counts: all that occur at least twice.

    SentencePiece's default seeds are strings that different words share. A word that no other word contains
    ("elephant") could then never become a piece, even if it is frequent.
    """
    words = Counter(WORD_START + word for sentence in sentences for word in sentence.split())
    pieces: Counter[str] = Counter()
    for word, count in words.items():
        for start in range(len(word)):
            for end in range(start + 2, min(len(word), start + MAX_PIECE_LENGTH) + 1):
                pieces[word[start:end]] += count
    return [(piece, count) for piece, count in pieces.items() if count > 1]


def train(sentences: Sequence[str]) -> bytes:
    """Returns a serialised SentencePiece unigram model of `VOCAB_SIZE` pieces; rare characters fall back to bytes."""
    model = io.BytesIO()
    with NamedTemporaryFile("w", encoding="utf-8", suffix=".tsv") as seed_file:
        seed_file.writelines(f"{piece}\t{count}\n" for piece, count in seeds(sentences))
        seed_file.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="unigram",
            vocab_size=VOCAB_SIZE,
            seed_sentencepieces_file=seed_file.name,
            max_sentencepiece_length=MAX_PIECE_LENGTH,
            byte_fallback=True,
            add_dummy_prefix=True,
            normalization_rule_name="nmt_nfkc",
            character_coverage=0.9999,
            pad_id=0,
            pad_piece="<pad>",
            eos_id=1,
            eos_piece="</s>",
            unk_id=2,
            unk_piece="<unk>",
            bos_id=-1,
            num_threads=1,  # the same sentences give the same pieces
            minloglevel=2,
        )
    proto = ModelProto.FromString(model.getvalue())
    proto.trainer_spec.ClearField(
        "seed_sentencepieces_file"
    )  # the file no longer exists, and its name differs in every run
    return proto.SerializeToString(deterministic=True)


def share_of_long_texts(model: bytes, rows: Iterable[Mapping[str, Any]]) -> float:
    """Returns the share of names and keywords that are cut because they have more than `MAX_TOKENS` pieces."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = [text for row in rows for words in row["texts"].values() for text in (words["name"], *words["keywords"])]
    return sum(len(ids) > MAX_TOKENS for ids in processor.encode([canonicalize(text) for text in texts])) / len(texts)
