"""Multipart forms, byte by byte, over HTTP. tests/app/http/test_bodies.py tests their fields."""

import resource
import sys

import pytest

from tests.app.image_files import encoded, plain_image

IMAGE = encoded(plain_image())
END = b"--x--\r\n"


def part(name: str, content: bytes, more_headers: bytes = b"", filename: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
    return b"--x\r\n" + disposition.encode() + b"\r\n" + more_headers + b"\r\n" + content + b"\r\n"


def request(content: bytes, media_type: str = "multipart/form-data; boundary=x") -> dict:
    return {"content": content, "headers": {"Content-Type": media_type}}


IMAGE_PART = part("image", IMAGE, filename="a.png")
GOOD = IMAGE_PART + part("labels", b"cat") + END


def labels_of(response) -> list[str]:
    assert response.status_code == 200, response.text
    return sorted(score["label"] for score in response.json()["scores"])


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD + bytes(1_000_000),
        GOOD.removesuffix(b"\r\n"),
        b"\r\n" * 500_000 + GOOD,
        b"preamble" * 100_000 + b"\r\n" + GOOD,
        GOOD.replace(b"Content-Disposition: form-data", b"CONTENT-DISPOSITION:Form-Data"),
        GOOD.replace(b'name="labels"', b"name=labels"),
        GOOD.replace(b'name="labels"', b'name="labels"\r\nContent-Type: text/plain; charset=UTF-8'),
        GOOD.replace(b'name="labels"', b'name="labels"\r\nContent-Type: text/plain; charset=ISO-8859-1'),
        GOOD.replace(b'name="labels"', b'name="labels"\r\nContent-Transfer-Encoding: 8bit'),
        GOOD.replace(b'filename="a.png"', b"filename*=UTF-8''%E7%8C%AB.png"),
        part("image", IMAGE) + part("labels", b"cat") + END,
        part("image", IMAGE, b"Content-Type: image/png\r\n") + part("labels", b"cat") + END,
    ],
)
def test_forms_are_read_as_clients_write_them(client, content):
    assert labels_of(client.post("/classify", **request(content))) == ["cat"]


@pytest.mark.parametrize("label", ["猫 ру", "a--x", "a -- x", 'a "b"', "a\r\nb", "a=b&c"])
def test_a_text_may_have_any_characters(client, label):
    content = IMAGE_PART + part("labels", label.encode()) + part("labels", b"dog") + END
    assert labels_of(client.post("/classify", **request(content))) == sorted([label, "dog"])


UTF_8 = "labels is not UTF-8. Send text as UTF-8."
REFUSED = {
    "no boundary": (request(GOOD, "multipart/form-data"), 400, "The boundary is missing in the Content-Type"),
    "another boundary": (request(GOOD, "multipart/form-data; boundary=y"), 400, "Boundary not found"),
    "garbage": (request(b"garbage"), 400, "Boundary not found"),
    "blanks after the boundary": (request(GOOD.replace(b"--x\r\n", b"--x \t\r\n")), 400, "after first boundary"),
    "an empty form": (request(END), 400, "image is missing"),
    "a form cut in its headers": (request(b"--x\r\nContent-Disp"), 400, "The form is malformed or incomplete"),
    "a form cut in a label": (request(GOOD[: -len(END) - 4]), 400, "The form is malformed or incomplete"),
    "a form cut before its end": (request(GOOD[: -len(END)]), 400, "The form is malformed or incomplete"),
    "a form cut in the last line": (request(GOOD[: -len(END) + 3]), 400, "The form is malformed or incomplete"),
    "a part without a name": (
        request(b"--x\r\nContent-Disposition: form-data\r\n\r\ncat\r\n" + GOOD),
        400,
        "Missing name",
    ),
    "a part without headers": (request(b"--x\r\n\r\n\r\ncat\r\n" + GOOD), 400, "The form is malformed"),
    "another boundary that begins alike": (request(b"--xy\r\n\r\n\r\n" + GOOD), 400, "after first boundary"),
    "10,000 headers": (request(part("image", IMAGE, b"X-A: b\r\n" * 10_000) + END), 400, "header count exceeded"),
    "a long header": (request(part("image", IMAGE, b"X-A: " + b"b" * 10**6 + b"\r\n") + END), 400, "that are too long"),
    "a long name": (request(part("image" * 100_000, IMAGE) + END), 400, "that are too long"),
    "too many parts": (request(part("x", b"") * 20_000 + GOOD), 400, "more than 10,184 fields"),
    "a second image": (request(IMAGE_PART + GOOD), 400, "image is there 2 times"),
    "base64": (
        request(GOOD.replace(b'name="labels"', b'name="labels"\r\nContent-Transfer-Encoding: BASE64')),
        400,
        "Send the bytes as they are",
    ),
    "bytes in cp1251": (request(IMAGE_PART + part("labels", "кот".encode("cp1251")) + END), 400, UTF_8),
    "bytes in cp932": (request(IMAGE_PART + part("labels", "猫".encode("cp932")) + END), 400, UTF_8),
    "bytes in latin-1": (request(IMAGE_PART + part("labels", "café".encode("latin-1")) + END), 400, UTF_8),
    "bytes in UTF-16": (request(IMAGE_PART + part("labels", "cat".encode("utf-16")) + END), 400, UTF_8),
    "the second label in cp1251": (
        request(IMAGE_PART + part("labels", b"cat") + part("labels", "кот".encode("cp1251")) + END),
        400,
        UTF_8,
    ),
    "templates in cp1251": (
        request(IMAGE_PART + part("templates", "фото {}".encode("cp1251")) + END),
        400,
        "not UTF-8",
    ),
    "declared latin-1": (
        request(IMAGE_PART + part("labels", b"caf\xe9", b"Content-Type: text/plain; charset=iso-8859-1\r\n") + END),
        415,
        "labels declares another charset. Send text as UTF-8.",
    ),
    "declared UTF-16": (
        request(IMAGE_PART + part("labels", b"c\0a\0", b"Content-Type: text/plain; charset=utf-16le\r\n") + END),
        415,
        "labels declares another charset",
    ),
    "a long number": (request(IMAGE_PART + part("labels", b"cat") + part("top_k", b"1" * 100_000) + END), 400, "top_k"),
    "a path as a name": (request(part("../../etc/passwd", b"x", filename="../../etc/passwd") + GOOD), 400, "unknown"),
    "long JSON": (request(part("labels", b"[" * 100_000) + IMAGE_PART + END), 400, "labels is JSON that is nested"),
}


@pytest.mark.parametrize(("sent", "status", "message"), REFUSED.values(), ids=REFUSED)
def test_another_form_is_refused_and_the_next_request_succeeds(client, sent, status, message):
    response = client.post("/classify", **sent)
    assert response.status_code == status, response.text
    assert message in response.json()["detail"]
    assert labels_of(client.post("/classify", **request(GOOD))) == ["cat"]


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "undefined", "punycode", "iso-8859-1", "zip"])
def test_a_form_in_another_charset_is_refused(client, charset):
    response = client.post("/classify", **request(GOOD, f"multipart/form-data; boundary=x; charset={charset}"))
    assert (response.status_code, response.json()["error_type"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("charset", ["utf-8", '"UTF-8"', "us-ascii"])
def test_a_form_may_declare_utf_8(client, charset):
    response = client.post("/classify", **request(GOOD, f'multipart/form-data; boundary="x"; charset={charset}'))
    assert labels_of(response) == ["cat"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit another process")
def test_a_large_image_in_a_form_is_not_written_to_disk(spawn):
    process = spawn()
    resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (0, 0))  # the process cannot write to any file
    image = encoded(plain_image(side=1200), "BMP")
    assert len(image) > 4_000_000
    response = process.client.post("/classify", files={"image": image}, data={"labels": "cat"})
    assert response.status_code == 200, response.text
