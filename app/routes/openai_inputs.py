"""The `input` of POST /v1/embeddings: texts and images, in the shapes that clients send.

| element                                                     | is                              |
|-------------------------------------------------------------|---------------------------------|
| `"data:image/png;base64,..."`                               | an image                        |
| any other string, also base64 and URLs                      | a text                          |
| `{"text": "..."}`, also with `"type": "text"`               | a text                          |
| `{"image": "..."}`, also with `"type": "image"`             | an image: base64, or a data URL |
| `{"image_url": {"url": "..."}}`, also with its `type`       | the same                        |
| a number, or a list of numbers                              | InvalidRequest: token ids       |

`input` is one element or a list of them.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator

from app.errors import MAX_FAULTS, Fault, InvalidLabels, InvalidRequest
from app.labels import MAX_PROMPT_CHARACTERS, text_fault
from app.routes.scoring import remap_pointers
from app.schemas import Sent
from app.validation import validated

IMAGE_PREFIX = "data:image/"
URL_SCHEMES = ("http://", "https://")
HOW = 'Send a file as a data URL, data:image/png;base64,..., or its base64 as {"image": "..."}'
OTHER_IDS = (
    "input has token ids, which are those of another model's tokenizer. Send texts. LangChain sends texts if "
    "OpenAIEmbeddings has check_embedding_ctx_length=False."
)


class TextInput(Sent):
    """A text, whatever it begins with."""

    type: Literal["text"] = "text"
    text: str


class ImageInput(Sent):
    """An image file."""

    type: Literal["image"] = "image"
    image: str


def wrap_url(given: Any) -> Any:
    """Returns a URL alone as the object that OpenAI has."""
    return {"url": given} if isinstance(given, str) else given


class ImageURL(Sent):
    """An image file; `detail` is ignored."""

    url: str
    detail: str | None = None


class ImageURLInput(Sent):
    """An image file, as in OpenAI's messages."""

    type: Literal["image_url"] = "image_url"
    image_url: Annotated[ImageURL, BeforeValidator(wrap_url, json_schema_input_type=str | ImageURL)]


class Element(NamedTuple):
    """A text, or the base64 of an image file.

    Attributes:
        is_image: Which of the two.
        content: The text or the base64.
        place: Its JSON pointer in the request.
    """

    is_image: bool
    content: str
    place: str


def read_inputs(given: Any, max_texts: int, max_images: int) -> list[Element]:
    """Returns the elements of `input`, in their order.

    Raises:
        InvalidRequest: There are no elements or too many, or one has another shape or is a URL.
        InvalidLabels: There are too many texts, or one is blank or too long.
    """
    if is_token_id(given) or (isinstance(given, list) and any(map(has_token_ids, given))):
        raise InvalidRequest.at("/input", OTHER_IDS)
    if given == []:
        raise InvalidRequest.at("/input", "input is empty. Send a text or an image, or a list of them.")
    listed = isinstance(given, list)
    if listed and len(given) > (most := max_texts + max_images):  # millions would take seconds to read
        raise InvalidRequest.at("/input", f"There are {len(given):,} inputs; send 1 to {most:,}.")
    pairs = [(one, f"/input/{index}") for index, one in enumerate(given)] if listed else [(given, "/input")]
    elements = [read_element(one, place) for one, place in pairs]
    images = sum(element.is_image for element in elements)
    if images > max_images:
        raise InvalidRequest.at("/input", f"There are {images:,} images; send 1 to {max_images:,}.")
    if (texts := len(elements) - images) > max_texts:
        raise InvalidLabels.at("/input", f"There are {texts:,} texts; send 1 to {max_texts:,}.")
    if faults := list(faults_of_texts(elements)):
        is_file = any(len(one.content) > MAX_PROMPT_CHARACTERS and " " not in one.content for one in elements)
        hint = f" {HOW}." if is_file else ""
        raise InvalidLabels(f"{faults[0].message.capitalize()}.{hint}", faults[:MAX_FAULTS])
    return elements


def is_token_id(element: Any) -> bool:
    """Returns whether a JSON value is a whole number."""
    return isinstance(element, int) and not isinstance(element, bool)


def has_token_ids(element: Any) -> bool:
    """Returns whether an element of a list is a token id, or a list of them."""
    return is_token_id(element) or (isinstance(element, list) and any(map(is_token_id, element[:1])))


def read_element(given: Any, place: str) -> Element:
    """Returns an element of `input`.

    Raises:
        InvalidRequest: It is neither a text nor an image, or the URL of an image.
    """
    if isinstance(given, str):
        is_image = given[: len(IMAGE_PREFIX)].lower() == IMAGE_PREFIX
        return Element(is_image, image_base64(given, place) if is_image else given, place)
    with remap_pointers({"": place}):
        match given:
            case {"image_url": _}:
                url = validated(ImageURLInput, given, strict=True).image_url.url
                return Element(True, image_base64(url, "/image_url/url"), f"{place}/image_url/url")
            case {"image": _}:
                image = validated(ImageInput, given, strict=True).image
                return Element(True, image_base64(image, "/image"), f"{place}/image")
            case {"text": _}:
                return Element(False, validated(TextInput, given, strict=True).text, f"{place}/text")
    message = f"{name_of(place)} must be a string, or an object with text, image or image_url"
    raise InvalidRequest.at(place, message)


def image_base64(image: str, pointer: str) -> str:
    """Returns the base64 of an image, which may be a data URL of any type: the file says what it is.

    Raises:
        InvalidRequest: It is a URL of another kind.
    """
    if image[:8].lower().startswith(URL_SCHEMES):
        raise InvalidRequest.at(pointer, f"The URL of an image is not fetched. {HOW}")
    if image[:5].lower() != "data:":
        return image
    head, comma, content = image.partition(",")
    if not (comma and head.lower().endswith(";base64")):
        raise InvalidRequest.at(pointer, f"The data URL of an image is not base64. {HOW}")
    return content


def faults_of_texts(elements: list[Element]) -> Iterator[Fault]:
    """Yields what is wrong with texts."""
    for element in elements:
        if not element.is_image and (fault := text_fault(element.content)):
            yield Fault(element.place, f"{name_of(element.place)} {fault}")


def name_of(place: str) -> str:
    """Returns the name of an element in a sentence; sentences count from 1."""
    index = place.split("/")[2:3]
    return f"input {int(index[0]) + 1}" if index and index[0].isdecimal() else "input"
