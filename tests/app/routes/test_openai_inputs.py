import pytest

from app.errors import InvalidLabels, InvalidRequest
from app.routes.openai_inputs import Element, read_inputs

URL = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("cat", Element(False, "cat", "/input")),
        (["cat"], Element(False, "cat", "/input/0")),
        (URL, Element(True, "AAAA", "/input")),
        ("data:image/svg+xml;charset=utf-8;base64,AAAA", Element(True, "AAAA", "/input")),
        ("DATA:Image/PNG;Base64,AAAA", Element(True, "AAAA", "/input")),
        ({"image": "AAAA"}, Element(True, "AAAA", "/input/image")),
        ({"image": "data:application/octet-stream;base64,AAAA"}, Element(True, "AAAA", "/input/image")),
        ([{"image_url": {"url": URL}}], Element(True, "AAAA", "/input/0/image_url/url")),
        ([{"text": URL}], Element(False, URL, "/input/0/text")),
    ],
)
def test_an_element_is_a_text_or_the_base64_of_an_image(given, expected):
    assert read_inputs(given, 10, 2) == [expected]


@pytest.mark.parametrize("given", [5, [5], [1, 2, 3], [[1, 2], [3]], ["cat", [1]]])
def test_token_ids_are_refused_with_the_name_of_the_setting(given):
    with pytest.raises(InvalidRequest, match="check_embedding_ctx_length=False") as caught:
        read_inputs(given, 10, 2)
    assert caught.value.faults[0].pointer == "/input"


@pytest.mark.parametrize(
    ("given", "pointer", "message"),
    [
        ([], "/input", "input is empty"),
        (["cat"] * 13, "/input", "There are 13 inputs; send 1 to 12."),
        ([URL] * 3, "/input", "There are 3 images; send 1 to 2."),
        (None, "/input", "input must be a string, or an object with text, image or image_url"),
        (["cat", True], "/input/1", "input 2 must be a string"),
        ([["cat"]], "/input/0", "input 1 must be a string"),
        ([[]], "/input/0", "input 1 must be a string"),
        ({"txet": "cat"}, "/input", "input must be a string"),
        ([1.5], "/input/0", "input 1 must be a string"),
        ({"text": 5}, "/input/text", "text: input should be a valid string"),
        (["cat", {"image": "AAAA", "size": 5}], "/input/1", "unknown field"),
        ({"image_url": {}}, "/input/image_url/url", "image_url/url is missing"),
        ({"type": "image_url", "image": "AAAA"}, "/input/type", "type: input should be 'image'"),
        ("data:image/png,AAAA", "/input", "The data URL of an image is not base64. Send a file as a data URL"),
        ("data:image/png;base64", "/input", "The data URL of an image is not base64"),
        ({"image": "data:text/plain,cat"}, "/input/image", "The data URL of an image is not base64"),
        ({"image": "https://example.com/cat.png"}, "/input/image", "The URL of an image is not fetched"),
        ([{"image_url": {"url": "HTTP://x/y"}}], "/input/0/image_url/url", "The URL of an image is not fetched"),
    ],
)
def test_everything_else_is_refused_at_its_place(given, pointer, message):
    with pytest.raises(InvalidRequest) as caught:
        read_inputs(given, 10, 2)
    assert message in caught.value.detail
    assert caught.value.faults[0].pointer == pointer


@pytest.mark.parametrize(
    ("given", "pointer", "message"),
    [
        ("", "/input", "Input must have 1 to 1,024 characters that are not all blank"),
        (["cat", " "], "/input/1", "Input 2 must have"),
        ([URL, {"text": "x" * 1025}], "/input/1/text", "Input 2 must have"),
        (["cat"] * 11, "/input", "There are 11 texts; send 1 to 10."),
    ],
)
def test_texts_have_the_limits_of_embed_text(given, pointer, message):
    with pytest.raises(InvalidLabels) as caught:
        read_inputs(given, 10, 2)
    assert caught.value.detail.startswith(message)
    assert caught.value.faults[0].pointer == pointer
