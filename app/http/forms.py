"""Splits the body of a multipart form into its parts. The body has arrived, and its bytes are limited.

Source: RFC 7578, and RFC 2046, section 5.1. What does not follow them is an error: a part that is skipped or read as
something else would be a wrong label.
"""

import re
from typing import NamedTuple

from python_multipart.multipart import parse_options_header

from app.errors import InvalidRequest, UnsupportedMediaType

UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
MAX_HEADER_BYTES = 8_192  # of the headers of one part
# Nearly all parts have exactly this header, so its general form is only parsed for the others.
PLAIN_HEADER = re.compile(rb'\r\nContent-Disposition: form-data; name="([^"\\\r\n]*)"', re.IGNORECASE)


class Part(NamedTuple):
    """A part of a form.

    Attributes:
        name: The field's name.
        content: The bytes.
        is_file: Whether the part has a file name. A file may come without one.
        charset: What the part declares, in lower case, or "".
    """

    name: str
    content: bytes
    is_file: bool = False
    charset: str = ""

    @property
    def text(self) -> str:
        """The content as text.

        Raises:
            InvalidRequest: It is not UTF-8.
            UnsupportedMediaType: The part declares another charset, in which the bytes mean something else.
        """
        # Apache's client declares iso-8859-1 for all texts, most of which are ASCII.
        if self.charset not in ("", *UTF_8) and not (self.charset.startswith("iso-8859-") and self.content.isascii()):
            raise UnsupportedMediaType(f"{self.name} declares another charset. Send text as UTF-8.")
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise InvalidRequest.at(f"/{self.name}", f"{self.name} is not UTF-8. Send text as UTF-8.") from None

    @property
    def looks_like_text(self) -> bool:
        """Whether this cannot be an image: it has no file name, and is UTF-8 without a zero byte."""
        if self.is_file or b"\0" in self.content:
            return False
        try:
            self.content.decode()
        except UnicodeDecodeError:
            return False
        return True


def read_boundary(content_type: str) -> bytes:
    """Returns the boundary that the header of a form declares.

    Raises:
        InvalidRequest: There is none.
        UnsupportedMediaType: The form's charset is not UTF-8: some of Python's codecs take hours.
    """
    _, parameters = parse_options_header(content_type)
    if parameters.get(b"charset", b"utf-8").decode("latin-1").lower() not in UTF_8:
        raise UnsupportedMediaType("A form's charset must be utf-8, which is also the default.")
    if not (boundary := parameters.get(b"boundary", b"")):
        raise InvalidRequest("The boundary is missing in the Content-Type. Let your HTTP client set this header.")
    return boundary


def read_parts(body: bytes, boundary: bytes, max_parts: int) -> list[Part]:
    """Returns the parts of a form in their order. Call it in a thread if the body is large.

    Raises:
        InvalidRequest: The form is malformed or incomplete, or has too many parts.
    """
    first = len(body) - len(body.lstrip(b"\r\n"))
    if not body.startswith(b"--" + boundary, first):
        raise InvalidRequest("The form is malformed: it does not begin with its boundary.")
    delimiter = b"\r\n--" + boundary
    at = first + len(delimiter) - 2  # behind a boundary
    parts: list[Part] = []
    while not body.startswith(b"--", at):
        if len(parts) == max_parts:
            raise InvalidRequest(f"The form has more than {max_parts:,} fields.")
        header_end = body.find(b"\r\n\r\n", at, at + MAX_HEADER_BYTES)
        end = body.find(delimiter, header_end)
        if header_end < 0 or end < 0:
            raise InvalidRequest("The form is incomplete or malformed: a part has no end, or its headers are too long.")
        header, content = body[at:header_end], body[header_end + 4 : end]
        plain = PLAIN_HEADER.fullmatch(header)
        parts.append(Part(plain[1].decode(errors="replace"), content) if plain else read_part(header, content))
        at = end + len(delimiter)
    return parts


def read_part(header: bytes, content: bytes) -> Part:
    """Returns a part from its headers, which begin with the end of the boundary's line, and its content.

    Raises:
        InvalidRequest: It has no name, or its content is encoded.
    """
    padding, *lines = header.split(b"\r\n")
    pairs = (line.partition(b":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    _, disposition = parse_options_header(headers.get(b"content-disposition"))
    _, media = parse_options_header(headers.get(b"content-type"))
    if padding.strip() or b"name" not in disposition:
        raise InvalidRequest("The form is malformed: a part has no name.")
    if headers.get(b"content-transfer-encoding", b"").lower() in (b"base64", b"quoted-printable"):
        raise InvalidRequest("A part of the form has a Content-Transfer-Encoding. Send the bytes as they are.")
    charset = media.get(b"charset", b"").decode("latin-1").lower()
    is_file = not disposition.keys().isdisjoint((b"filename", b"filename*"))
    return Part(disposition[b"name"].decode(errors="replace"), content, is_file, charset)
