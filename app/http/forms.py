"""Splits the body of a multipart form into its parts. The body has arrived, and its bytes are limited.

Source: RFC 7578, and RFC 2046, section 5.1. What does not follow them is an error: a part that is skipped or read as
something else would be a wrong label.
"""

from typing import NamedTuple

from multipart import (  # type: ignore[import-untyped]  # it has annotations, but does not declare them
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from app.errors import InvalidRequest, UnsupportedMediaType

UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
MAX_HEADER_BYTES = 8_192  # of the headers of one part


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
    if parameters.get("charset", "utf-8").lower() not in UTF_8:
        raise UnsupportedMediaType("A form's charset must be utf-8, which is also the default.")
    if not (boundary := parameters.get("boundary", "")):
        raise InvalidRequest("The boundary is missing in the Content-Type. Let your HTTP client set this header.")
    return bytes(boundary, "latin-1", "replace")


def read_parts(body: bytes, boundary: bytes, max_parts: int) -> list[Part]:
    """Returns the parts of a form in their order. Call it in a thread if the body is large.

    Raises:
        InvalidRequest: The form is malformed or incomplete, or has too many parts.
    """
    parts: list[Part] = []
    pieces: list[bytes] = []
    try:
        parser = PushMultipartParser(
            boundary, max_segment_count=max_parts, max_header_size=MAX_HEADER_BYTES, strict=True
        )
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                segment, pieces = event, []
            elif event is not None:
                pieces.append(bytes(event))
            else:
                parts.append(read_part(segment, b"".join(pieces)))
        parser.close()
    except ParserLimitReached as error:
        limit = f"The form has more than {max_parts:,} fields, or headers that are too long"
        raise InvalidRequest(f"{limit}: {error}.") from None
    except MultipartError as error:
        raise InvalidRequest(f"The form is malformed or incomplete: {error}.") from None
    return parts


def read_part(segment: MultipartSegment, content: bytes) -> Part:
    """Returns a part from its headers and its content.

    Raises:
        InvalidRequest: The content is encoded.
    """
    encoding = segment.header("Content-Transfer-Encoding", "").lower()
    if encoding in ("base64", "quoted-printable"):
        raise InvalidRequest("A part of the form has a Content-Transfer-Encoding. Send the bytes as they are.")
    return Part(segment.name, content, segment.filename is not None, (segment.charset or "").lower())
