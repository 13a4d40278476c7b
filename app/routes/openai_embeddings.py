"""What requests to POST /v1/embeddings and their responses contain."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from app.http.bodies import in_one_piece
from app.inference.embedder import EmbeddedTexts
from app.inference.embeddings import FINGERPRINT, ROW, ModelFingerprint, encode_row
from app.inference.encoder import Processor
from app.inference.image_input import EmbeddedImage
from app.inference.label_warnings import named, truncated_and_unreadable
from app.routes.openai_inputs import Element, ImageInput, ImageURLInput, TextInput
from app.schemas import IMAGE, MODEL, PNG, Frame, ImageFacts, Sent, example

MODEL_ID = "{variant}/{weights}".format(**MODEL)  # in examples
URL = re.compile(r"https?://\S+", re.IGNORECASE)
SHAPES = [{"type": "string"}, *(in_one_piece(shape) for shape in (TextInput, ImageInput, ImageURLInput))]
INPUT = {"anyOf": [*SHAPES, {"type": "array", "items": {"anyOf": SHAPES}, "minItems": 1}]}


class EmbeddingsBody(Sent):
    """Texts and images to embed."""

    model_config = example(
        {
            "input": ["This is a photo of 2 cats.", f"data:image/png;base64,{PNG}", {"image": PNG}],
            "model": MODEL_ID,
            "encoding_format": "base64",
        }
    )

    input: Annotated[
        Any,  # `read_inputs` reads it
        WithJsonSchema(INPUT),
        Field(description="A text or an image, or a list of them. A string is an image if it begins with data:image/."),
    ]
    model: Annotated[str | None, Field(description="The `id` in `GET /v1/models`. Default: the loaded model.")] = None
    encoding_format: Annotated[
        Literal["float", "base64"] | None,
        Field(description="`float` (default): numbers. `base64`: the bytes of little-endian float32, which are exact."),
    ] = None
    dimensions: Annotated[int | None, Field(description="Refused: the model has one number of dimensions.")] = None
    user: Annotated[str | None, Field(description="Ignored.")] = None
    frame: Frame = 0


class Embedding(BaseModel):
    """One element of the input, and its embedding, L2-normalised."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: Annotated[list[float] | str, Field(description="Numbers, or base64 if `encoding_format` is `base64`.")]
    image: Annotated[
        ImageFacts | None, Field(description="Only for images.", exclude_if=lambda value: value is None)
    ] = None


class Usage(BaseModel):
    """The tokens of the texts as the model reads them, without padding. Images have none."""

    prompt_tokens: int
    total_tokens: int


class InputWarning(BaseModel):
    """Something that a reader of the embeddings must know. `inputs` are indices of the input."""

    code: str
    message: str
    inputs: list[int]


class EmbeddingList(BaseModel):
    """The embeddings in the order of the input. `model_fingerprint` and `warnings` are not OpenAI's."""

    model_config = example(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": 0, "embedding": ROW},
                {"object": "embedding", "index": 1, "embedding": ROW, "image": IMAGE},
            ],
            "model": MODEL_ID,
            "usage": {"prompt_tokens": 9, "total_tokens": 9},
            "model_fingerprint": FINGERPRINT,
            "warnings": [],
        }
    )

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage
    model_fingerprint: ModelFingerprint
    warnings: list[InputWarning]


def embedded(
    elements: Sequence[Element], texts: EmbeddedTexts | None, images: Sequence[EmbeddedImage], encoding_format: str
) -> Iterator[Embedding]:
    """Yields the embeddings of texts and images, in the order of the input."""
    text_rows, embedded_images = iter(texts.embeddings if texts else ()), iter(images)
    for index, element in enumerate(elements):
        if element.is_image:
            image = next(embedded_images)
            row = encode_row(image.row, encoding_format)
            yield Embedding(index=index, embedding=row, image=image.facts)
        else:
            yield Embedding(index=index, embedding=encode_row(next(text_rows), encoding_format))


def usage(texts: EmbeddedTexts | None) -> Usage:
    """Returns the number of tokens."""
    tokens = int(texts.tokens.lengths.sum()) if texts else 0
    return Usage(prompt_tokens=tokens, total_tokens=tokens)


def input_warnings(encoder: Processor, elements: Sequence[Element], texts: EmbeddedTexts | None) -> list[InputWarning]:
    """Returns what a reader must know about texts that are cut off, unreadable or perhaps meant as images."""
    if texts is None:
        return []
    places = [index for index, element in enumerate(elements) if not element.is_image]
    contents = [elements[index].content for index in places]
    truncated, unreadable = truncated_and_unreadable(encoder, contents, texts.tokens)
    urls = [index for index, text in enumerate(contents) if URL.fullmatch(text.strip())]
    cut = f"The model reads only {encoder.info.context_length} tokens of a text, so the end is cut off for {{}}."
    unread = "The model cannot read {}: it was not trained on any of the characters. Such embeddings mean nothing."
    unfetched = "URLs are not fetched, so {} was embedded as a text. Send an image as a data URL."
    kinds = [
        ("texts_truncated", truncated, cut),
        ("texts_unreadable", unreadable, unread),
        ("texts_are_urls", urls, unfetched),
    ]
    return [
        InputWarning(code=code, message=text.replace("{}", named(contents, found)), inputs=[places[i] for i in found])
        for code, found, text in kinds
        if found
    ]
