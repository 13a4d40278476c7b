"""The three bodies of a request, read as one: a form, JSON, or the image itself with its options in the query."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel

from app.errors import InvalidRequest, UnsupportedMediaType
from app.http.forms import Part, read_boundary, read_parts
from app.http.openapi import form_content, without_default
from app.inference.engine import Engine
from app.labels import MAX_TEMPLATES, read_labels
from app.schemas import LabelChoice
from app.settings import Settings
from app.validation import check_names, parse_json, validated

ACCEPTED = "multipart/form-data, application/json, or the image itself with its own type, such as image/jpeg"
LISTS = ("images", "labels", "templates")  # may be repeated in a form or a query
FILES = ("image", "images")
MAX_SINGLE_FIELDS = 20  # of a form, more than any has

T = TypeVar("T")
O = TypeVar("O", bound=BaseModel)  # noqa: E741 (options)


class Bodies(NamedTuple, Generic[O]):
    """The schemas of an API's three bodies; `form` and `json` have the options and `image` or `images`."""

    options: type[O]
    form: type[O]
    json: type[O]

    @property
    def many(self) -> bool:
        """Whether a request may have several images; then its body cannot be an image itself."""
        return "images" in self.form.model_fields

    def openapi(self) -> dict[str, Any]:
        """Returns the `openapi_extra` of a route."""
        content = {
            "multipart/form-data": form_content(self.form.model_json_schema()),
            "application/json": {"schema": self.json.model_json_schema()},
        }
        if self.many:
            return {"requestBody": {"required": True, "content": content}}
        content["image/*"] = {"schema": {"type": "string", "format": "binary"}}
        properties = self.options.model_json_schema().get("properties", {})
        description = "Only with the image itself as body."
        parameters = [
            {"name": name, "in": "query", "schema": without_default(schema), "description": description}
            for name, schema in properties.items()
        ]
        return {"parameters": parameters, "requestBody": {"required": True, "content": content}}


def json_body(schema: type[BaseModel]) -> dict[str, Any]:
    """Returns the `openapi_extra` of a route whose body is JSON."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": in_one_piece(schema)}}}}


def in_one_piece(schema: type[BaseModel]) -> dict[str, Any]:
    """Returns a model's JSON schema without references, which would point into the OpenAPI document."""
    whole = schema.model_json_schema()
    definitions = whole.pop("$defs", {})

    def inlined(part: Any) -> Any:
        if isinstance(part, list):
            return [inlined(item) for item in part]
        if not isinstance(part, dict):
            return part
        rest = {name: inlined(value) for name, value in part.items() if name != "$ref"}
        return inlined(definitions[part["$ref"].rpartition("/")[2]]) | rest if "$ref" in part else rest

    inlined_whole: dict[str, Any] = inlined(whole)
    return inlined_whole


class ImageRequest(NamedTuple, Generic[O]):
    """A request's images, each the bytes of a file or still base64, and its options."""

    images: list[bytes | str]
    options: O


async def read_request(request: Request, bodies: Bodies[O]) -> ImageRequest[O]:
    """Returns the request's images and options. No image is decoded yet.

    Raises:
        InvalidRequest: The body is malformed, or a field is unknown, missing or of the wrong type.
        UnsupportedMediaType: The body is not one of the three.
    """
    media_type = media_type_of(request)
    if not bodies.many and (media_type.startswith("image/") or media_type == "application/octet-stream"):
        options = read_query(request, bodies.options)
        return ImageRequest([await request.body()], options)
    if media_type not in ("multipart/form-data", "application/json"):
        raise unaccepted(media_type, "multipart/form-data or application/json" if bodies.many else ACCEPTED)
    if request.query_params:
        raise InvalidRequest("With a form or JSON the options belong in the body, not in the query.")
    if media_type == "application/json":
        body = await read_json(request, bodies.json)
    else:
        body = await read_form(request, bodies.form)
    images = body.images if bodies.many else [body.image]  # type: ignore[attr-defined]  # see `Bodies`
    return ImageRequest(images, body)


def media_type_of(request: Request) -> str:
    """Returns the body's type in lower case, without parameters, or ""."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def unaccepted(media_type: str, accepted: str) -> UnsupportedMediaType:
    """Returns the error for a type that is not accepted."""
    problem = "This Content-Type is not accepted." if media_type else "The request has no Content-Type."
    return UnsupportedMediaType(f"{problem} Send {accepted}.")


async def read_form(request: Request, schema: type[O]) -> O:
    """Returns a multipart form as its schema."""

    def read(parts: list[Part]) -> O:
        check_file_names(schema, parts)
        check_names(schema, (part.name for part in parts))
        return read_fields(schema, fields((part.name, value_of(part)) for part in parts))

    return await parse_form(request, read)


async def parse_form(request: Request, read: Callable[[list[Part]], T]) -> T:
    """Returns `read(parts)` of a multipart form. Both run in a thread if it has many parts.

    Raises:
        InvalidRequest: The form is malformed or incomplete, or has too many parts.
        UnsupportedMediaType: Its charset is not UTF-8.
    """
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    boundary = read_boundary(request.headers["content-type"])
    max_parts = settings.max_images + settings.max_labels + MAX_TEMPLATES + MAX_SINGLE_FIELDS

    def parse(body: bytes) -> T:
        return read(read_parts(body, boundary, max_parts))

    body = await request.body()
    return await engine.in_thread_if_many(body.count(boundary), parse, body)


def check_file_names(schema: type[BaseModel], parts: list[Part]) -> None:
    """Raises InvalidRequest if a file has an unknown name, as with `curl -F file=@cat.jpg`."""
    (field,) = (name for name in FILES if name in schema.model_fields)
    if any(part.is_file and part.name not in schema.model_fields for part in parts):
        raise InvalidRequest(f"unknown field with a file; the field is {field}. With curl: -F {field}=@cat.jpg")


def value_of(part: Part) -> bytes | str:
    """Returns a part's bytes, if it should be a file, or its text.

    Raises:
        InvalidRequest: It is text and should be a file, or the reverse, or is not UTF-8.
    """
    name = part.name
    if name in FILES:
        if part.looks_like_text:
            raise InvalidRequest.at(f"/{name}", f"{name} must be a file. With curl: -F {name}=@cat.jpg")
        return part.content
    if part.is_file:
        hint = ", with curl as -F 'labels=<labels.txt'" if name == "labels" else ""
        raise InvalidRequest.at(f"/{name}", f"{name} must be text, not a file. Send its text{hint}.")
    return part.text


def read_query(request: Request, schema: type[O]) -> O:
    """Returns the query as its schema.

    Raises:
        InvalidRequest: It is not UTF-8, or a field is unknown, repeated or wrong.
    """
    try:
        query = request.scope["query_string"].decode()
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise InvalidRequest("The query is not UTF-8. Send text as UTF-8, percent-encoded.") from None
    check_names(schema, (name for name, _ in pairs))
    return read_fields(schema, fields(pairs))


def fields(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a form's or a query's fields; those that may be repeated as lists."""
    given: dict[str, list[Any]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    for name in given.keys() - LISTS:
        if len(given[name]) > 1:
            hint = " POST /classify/batch takes several images." if name == "image" else ""
            raise InvalidRequest.at(f"/{name}", f"{name} is there {len(given[name]):,} times; send it once.{hint}")
    return {name: values if name in LISTS else values[0] for name, values in given.items()}


def read_fields(schema: type[O], values: dict[str, Any]) -> O:
    """Returns a form's or a query's fields as their schema. A lone text with several labels is split.

    HTML forms and Swagger UI send an option that was not filled in as an empty text, which is as good as none.
    """
    values = {name: value for name, value in values.items() if value != ""}
    given = read_labels(values["labels"]) if "labels" in values else None
    options = validated(schema, values | {"labels": given.labels} if given else values, strict=False)
    if given and isinstance(options, LabelChoice):
        options.labels_split = given.split
    return options


async def read_json(request: Request, schema: type[O]) -> O:
    """Returns a JSON body as its schema."""
    return await parse_body(request, lambda value: validated(schema, value, strict=True))


async def read_json_value(request: Request) -> Any:
    """Returns the value of a JSON body."""
    return await parse_body(request, lambda value: value)


async def parse_body(request: Request, read: Callable[[Any], T]) -> T:
    """Returns `read(value)` of a JSON body. Both run in a thread, since a body may have megabytes.

    Raises:
        InvalidRequest: It is not JSON.
        UnsupportedMediaType: It has another type.
    """
    if (media_type := media_type_of(request)) != "application/json":
        raise unaccepted(media_type, "application/json")
    engine: Engine = request.app.state.engine

    def parse(body: bytes) -> T:
        return read(parse_json(body, "The body"))

    return await engine.in_thread(parse, await request.body())
