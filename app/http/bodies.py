"""The three bodies of a request, read as one: a form, JSON, or the image itself with its options in the query."""

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, ImmutableMultiDict, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from app.errors import InvalidRequest, UnsupportedMediaType
from app.inference.engine import Engine
from app.labels import MAX_TEMPLATES, read_labels
from app.settings import Settings
from app.validation import parse_json, validated

ACCEPTED = "multipart/form-data, application/json, or the image itself with its own type, such as image/jpeg"
LISTS = ("images", "labels", "templates")  # may be repeated in a form or a query
FILES = ("image", "images")

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
            "multipart/form-data": {"schema": self.form.model_json_schema()},
            "application/json": {"schema": self.json.model_json_schema()},
        }
        if self.many:
            return {"requestBody": {"required": True, "content": content}}
        content["image/*"] = {"schema": {"type": "string", "format": "binary"}}
        properties = self.options.model_json_schema().get("properties", {})
        description = "Only with the image itself as body."
        parameters = [
            {"name": name, "in": "query", "schema": schema, "description": description}
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
        options = read_fields(bodies.options, fields(request.query_params))
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


class FormParser(MultiPartParser):
    """Starlette's parser without temporary files: `app.http.body_limits` has limited the bytes of all bodies."""

    spool_max_size = 0  # the size from which a file would go to the disk; 0 is never


@asynccontextmanager
async def parsed_form(request: Request, **limits: int) -> AsyncIterator[FormData]:
    """Yields a request's multipart form; `limits` are the parser's.

    Raises:
        InvalidRequest: It is malformed, or exceeds a limit.
    """
    async with aclosing(request.stream()) as stream:
        try:
            form = await FormParser(request.headers, stream, **limits).parse()
        except MultiPartException as error:
            raise InvalidRequest(error.message) from None
    try:
        yield form
    finally:
        await form.close()


async def read_form(request: Request, schema: type[O]) -> O:
    """Returns a multipart form as its schema."""
    check_charset(request)
    settings: Settings = request.app.state.settings
    engine: Engine = request.app.state.engine
    max_files = settings.max_images if "images" in schema.model_fields else 1
    max_fields = settings.max_labels + MAX_TEMPLATES + len(schema.model_fields)
    async with parsed_form(
        request, max_files=max_files, max_fields=max_fields, max_part_size=settings.max_body_bytes
    ) as form:
        values = fields(form)
        for name, value in form.multi_items():
            if name in FILES and isinstance(value, str):
                raise InvalidRequest.at(f"/{name}", f"{name} must be a file. With curl: -F {name}=@cat.jpg")
            if name not in FILES and isinstance(value, UploadFile):
                raise InvalidRequest("Only images may be files; the other fields are text.")
        for name in values.keys() & FILES:
            contents = [await file.read() for file in form.getlist(name) if isinstance(file, UploadFile)]
            values[name] = contents if name in LISTS else contents[0]
    return await engine.in_thread(read_fields, schema, values)


def read_fields(schema: type[O], values: dict[str, Any]) -> O:
    """Returns a form's or a query's fields as their schema."""
    if "labels" in values:
        values["labels"] = read_labels(values["labels"])
    return validated(schema, values, strict=False)


def check_charset(request: Request) -> None:
    """Refuses a form that is not UTF-8: some of Python's codecs take hours, others do not return text."""
    _, parameters = parse_options_header(request.headers["content-type"])
    if parameters.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8", b"us-ascii"):
        raise UnsupportedMediaType("A form's charset must be utf-8, which is also the default.")


async def read_json(request: Request, schema: type[O]) -> O:
    """Returns a JSON body as its schema."""
    engine: Engine = request.app.state.engine
    value = await read_json_value(request)
    return await engine.in_thread(validated, schema, value, strict=True)


async def read_json_value(request: Request) -> Any:
    """Returns the value of a JSON body. It is parsed in a thread, since it may have megabytes."""
    if (media_type := media_type_of(request)) != "application/json":
        raise unaccepted(media_type, "application/json")
    engine: Engine = request.app.state.engine
    return await engine.in_thread(parse_json, await request.body(), "The body")


def fields(pairs: ImmutableMultiDict[str, Any]) -> dict[str, Any]:
    """Returns a form's or a query's fields; those that may be repeated as lists."""
    given: dict[str, list[Any]] = {}
    for name, value in pairs.multi_items():  # once: a lookup for each of thousands of names takes seconds
        given.setdefault(name, []).append(value)
    if any(len(values) > 1 for name, values in given.items() if name not in LISTS):
        raise InvalidRequest(f"Only {', '.join(LISTS)} may be repeated.")
    return {name: values if name in LISTS else values[0] for name, values in given.items()}
