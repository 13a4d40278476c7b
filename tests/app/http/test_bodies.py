import base64
import json

import pytest

from app.http.bodies import fields
from tests.app.image_files import encoded, plain_image

IMAGE = encoded(plain_image())
BASE64 = base64.b64encode(IMAGE).decode()
SECRET = "sesame" * 20


def form(*parts: tuple[str, str]) -> dict:
    """Returns a request with a form of these parts. The value "@" is replaced by the image file."""
    return {"files": [(name, ("a.png", IMAGE) if value == "@" else (None, value)) for name, value in parts]}


def body(**fields) -> dict:
    return {"json": {"image": BASE64, "labels": ["cat"], **fields}}


def text(content: str | bytes, media_type: str = "application/json") -> dict:
    return {"content": content, "headers": {"Content-Type": media_type}}


MALFORMED = {
    "a form without an image": (form(("labels", "cat")), "image is missing."),
    "a form without labels": (form(("image", "@")), "labels is missing."),
    "an image that is text": (form(("image", "cat.png"), ("labels", "cat")), "With curl: -F image=@cat.jpg"),
    "two images": (
        form(("image", "@"), ("image", "@"), ("labels", "cat")),
        "POST /classify/batch takes several images",
    ),
    "labels that are a file": (form(("image", "@"), ("labels", "@")), "-F 'labels=<labels.txt'"),
    "only labels that are a file": (form(("labels", "@")), "labels must be text, not a file"),
    "templates that are a file": (form(("image", "@"), ("templates", "@")), "templates must be text, not a file"),
    "an image as file": (form(("file", "@"), ("labels", "cat")), "the field is image. With curl: -F image=@cat.jpg"),
    "an image as file, and one as image": (form(("file", "@"), ("image", "@")), "the field is image. With curl"),
    "labels[]": (form(("image", "@"), ("labels[]", "cat"), ("labels[]", "dog")), "unknown field; did you mean labels?"),
    "labels[] in the query": (
        {"params": {"labels[]": ["cat", "dog"]}, **text(IMAGE, "image/png")},
        "unknown field; did you mean labels?",
    ),
    "top_k twice": (form(("image", "@"), ("labels", "cat"), ("top_k", "1"), ("top_k", "2")), "top_k is there 2 times"),
    "a top_k of 0": (form(("image", "@"), ("labels", "cat"), ("top_k", "0")), "top_k: input should be greater than"),
    "a misspelled field": (form(("image", "@"), ("lables", "cat")), "unknown field; did you mean labels?"),
    "labels that are incomplete JSON": (form(("image", "@"), ("labels", '["cat"')), "labels is not JSON"),
    "labels that are JSON but not strings": (form(("image", "@"), ("labels", "[1]")), "a JSON array of strings"),
    "a label in brackets": (form(("image", "@"), ("labels", "[cat]")), 'put it into an array, ["[a label]"]'),
    "a label in brackets in the query": (
        {"params": {"labels": " [cat]"}, **text(IMAGE, "image/png")},
        "or send a JSON body",
    ),
    "a body that is not JSON": (text("nothing"), "The body is not JSON: Expecting value at line 1 column 1."),
    "an empty JSON body": (text(""), "The body is not JSON"),
    "JSON that is a list": (text("[]"), "the body: input should be"),
    "JSON in UTF-16": (text('{"a": 1}'.encode("utf-16")), "not UTF-8"),
    "NaN": (text('{"threshold": NaN}'), "NaN and Infinity are not numbers"),
    "a number that is too large for a float": (body(threshold=10**400), "threshold"),
    "a repeated key": (text('{"labels": ["a"], "labels": ["b"]}'), "a repeated key"),
    "JSON that is nested too deep": (text("[" * 200_000), "nested too deep"),
    "a number of thousands of digits": (text("1" * 10_000), "a number that is too long"),
    "an unknown key": (body(hypothesis=SECRET), "unknown field; the fields are labels, label_set, templates, top_k"),
    "a long unknown key": (body(**{SECRET: 1}), "unknown field"),
    "a label set and labels": (body(label_set="zoo"), "label_set replaces labels and templates"),
    "a label set and templates": (
        text(json.dumps({"image": BASE64, "label_set": "zoo", "templates": ["{}"]})),
        "label_set replaces labels and templates",
    ),
    "a label set that is a list": (text(json.dumps({"image": BASE64, "label_set": ["zoo"]})), "label_set: input"),
    "JSON without labels": (text(json.dumps({"image": BASE64})), "labels is missing"),
    "labels as one string": (body(labels=SECRET), "labels: input should be a valid list"),
    "a label that is a number": (body(labels=["cat", 3]), "labels/1: input should be a valid string"),
    "top_k as a string": (body(top_k="1"), "top_k: input should be a valid integer"),
    "top_k as a boolean": (body(top_k=True), "top_k: input should be a valid integer"),
    "a threshold above 1": (body(threshold=1.5), "threshold: input should be less than or equal to 1"),
    "a form with options in the query": ({"params": {"labels": "cat"}, **form(("image", "@"))}, "belong in the body"),
    "a misspelled option in the query": (
        {"params": {"label": "cat"}, **text(IMAGE, "image/png")},
        "did you mean labels",
    ),
    "an image without options in the query": (text(IMAGE, "image/png"), "labels is missing"),
}


@pytest.mark.parametrize(("request_body", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_gets_an_error_that_says_what_is_wrong(client, request_body, message):
    response = client.post("/classify", **request_body)
    problem = response.json()
    assert (response.status_code, problem["error_type"]) == (400, "invalid_request")
    assert message in problem["detail"]
    assert SECRET not in response.text


def test_each_fault_has_a_pointer(client):
    problem = client.post("/classify", **body(labels=["cat", 3], top_k="x")).json()
    assert [fault["pointer"] for fault in problem["errors"]] == ["/labels/1", "/top_k"]


def test_at_most_ten_faults_are_listed(client):
    unknown = {f"unknown{index}": 1 for index in range(1000)}
    assert len(client.post("/classify", **body(**unknown)).json()["errors"]) == 10


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/classify", {"image": BASE64, "labels": [1] * 1000}),
        ("POST", "/classify/batch", {"images": [1] * 1000, "labels": ["cat"]}),
        ("POST", "/embed/text", {"texts": [1] * 1000}),
        ("PUT", "/label-sets/zoo", {"labels": [1] * 1000}),
        ("PUT", "/label-sets/zoo", {"labels": [{"label": "cat", "prompts": [1] * 1000}]}),
    ],
)
def test_only_the_first_invalid_element_of_a_list_is_reported(client, method, path, content):
    # Millions of invalid elements would make gigabytes of errors.
    (fault,) = client.request(method, path, json=content).json()["errors"]
    assert fault["pointer"].endswith("/0")


LABELS = [
    ((["cat", "dog"]), ["cat", "dog"]),
    ((['["cat", "dog"]']), ["cat", "dog"]),
    (([' ["[cat]"]']), ["[cat]"]),
    ((["[cat]", "dog"]), ["[cat]", "dog"]),
    ((["cat, dog; bird"]), ["cat", "dog", "bird"]),
    ((["cat\r\ndog\r\n"]), ["cat", "dog"]),
    ((["a, b", "c"]), ["a, b", "c"]),
    ((['["a, b"]']), ["a, b"]),
    ((["cat [small]"]), ["cat [small]"]),
]


@pytest.mark.parametrize(("sent", "labels"), LABELS)
def test_a_form_and_a_query_read_labels_by_the_same_rule(client, sent, labels):
    for request_body in (
        form(("image", "@"), *(("labels", label) for label in sent)),
        {"params": {"labels": sent}, **text(IMAGE, "image/png")},
    ):
        scores = client.post("/classify", **request_body).json()["scores"]
        assert sorted(score["label"] for score in scores) == sorted(labels)


@pytest.mark.parametrize("query", ["labels=%EA%EE%F2", "labels=cat&labels=%94L", "labels=cat&templates=%EA{}", "x=%FF"])
def test_a_query_that_is_not_utf_8_is_refused(client, query):
    response = client.post(f"/classify?{query}", **text(IMAGE, "image/png"))
    assert (response.status_code, response.json()["error_type"]) == (400, "invalid_request")
    assert response.json()["detail"] == "The query is not UTF-8. Send text as UTF-8, percent-encoded."


@pytest.mark.parametrize("label", ["кот".encode("cp1251"), "猫".encode("cp932"), "猫".encode()])
def test_a_query_with_letters_that_are_not_percent_encoded_is_refused(raw, label):
    status, _, problem = raw(b"POST /classify?labels=%b HTTP/1.1\r\nHost: x\r\n\r\n" % label)
    assert (status, problem["detail"]) == (400, "The URL is not valid. Send text in it as UTF-8, percent-encoded.")


def test_a_query_in_utf_8_is_read(client):
    response = client.post("/classify?labels=%E7%8C%AB&labels=a+dog%21&top_k=2", **text(IMAGE, "image/png"))
    assert sorted(score["label"] for score in response.json()["scores"]) == ["a dog!", "猫"]


def test_a_byte_order_mark_in_json_is_dropped(client):
    plain = json.dumps({"image": BASE64, "labels": ["cat", "dog"]})
    answer = client.post("/classify", **text(plain.encode("utf-8-sig"))).json()
    assert answer == client.post("/classify", **text(plain)).json()


@pytest.mark.parametrize("encode", [base64.encodebytes, lambda file: base64.encodebytes(file).replace(b"\n", b"\r\n")])
def test_base64_may_have_the_line_breaks_of_mime(client, encode):
    answer = client.post("/classify", **body(image=encode(IMAGE).decode())).json()
    assert answer == client.post("/classify", **body()).json()


def test_options_that_an_html_form_leaves_empty_are_left_out(client):
    plain = form(("image", "@"), ("labels", "cat"))
    empty = [(name, "") for name in ("label_set", "top_k", "threshold", "frame")]
    answer = client.post("/classify", **form(("image", "@"), ("labels", "cat"), *empty)).json()
    assert answer == client.post("/classify", **plain).json()


class Name(str):
    """A field name that counts its comparisons."""

    comparisons = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Name.comparisons += 1
        return super().__eq__(other)


def test_thousands_of_fields_are_not_compared_with_each_other():
    names = [Name(index) for index in range(1000)]
    assert fields((name, "x") for name in names) == dict.fromkeys(names, "x")
    assert Name.comparisons < 10_000


@pytest.mark.parametrize(
    ("image", "hint"),
    [
        ("data:image/png;base64," + BASE64, "without its data: prefix"),
        ("https://example.org/cat.png", "URLs and paths are not followed"),
        ("/etc/passwd", "URLs and paths are not followed"),
        (BASE64[:-3] + "!", "not base64"),
        (base64.urlsafe_b64encode(IMAGE + b"\xff\xfe").decode(), "image is URL-safe base64, with - and _ instead of"),
        (base64.urlsafe_b64encode(IMAGE + b"\xff\xfe").decode().rstrip("="), "image is URL-safe base64"),
        (BASE64.replace("i", " ", 1), "not base64"),
    ],
)
def test_an_image_that_is_not_base64_is_refused(client, image, hint):
    response = client.post("/classify", **body(image=image))
    assert (response.status_code, response.json()["error_type"]) == (422, "invalid_image")
    assert hint in response.json()["detail"]
    assert response.json()["errors"][0]["pointer"] == "/image"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "The request has no Content-Type"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "Send multipart/form-data, application/json"),
        ({"Content-Type": "text/plain"}, "This Content-Type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "without Content-Encoding"),
    ],
)
def test_other_content_types_are_refused(client, headers, message):
    response = client.post("/classify", headers=headers, content=b"labels=cat")
    assert (response.status_code, response.json()["error_type"]) == (415, "unsupported_media_type")
    assert message in response.json()["detail"]


def test_an_image_may_be_sent_as_octet_stream(client):
    response = client.post("/classify", params={"labels": "cat"}, **text(IMAGE, "application/octet-stream"))
    assert response.json()["image"]["format"] == "PNG"
