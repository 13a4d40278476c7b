"""The three bodies of a request read as one: a form, JSON, or the image itself with its options in the query."""

import binascii
import json
from typing import Any, NamedTuple, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import ImmutableMultiDict, UploadFile

from app.config import Settings
from app.engine import Engine
from app.errors import Fault, InvalidImage, InvalidRequest, UnsupportedMediaType
from app.labels import MAX_TEMPLATES
from app.schemas import ClassifyBody, ClassifyForm, ClassifyOptions, validated

ACCEPTED = "multipart/form-data, application/json, or the image itself with its own type, such as image/jpeg"
LISTS = ("labels", "templates")  # repeated in a form or a query; the other fields come once

M = TypeVar("M", bound=BaseModel)


class ClassifyRequest(NamedTuple):
    """What a client asks, whichever body it chose."""

    image: bytes
    options: ClassifyOptions


async def read_request(request: Request, settings: Settings, engine: Engine) -> ClassifyRequest:
    """Returns the request's image and options. Nothing is decoded yet.

    Raises:
        InvalidRequest: The body is malformed, or a field is unknown, missing or of the wrong type.
        UnsupportedMediaType: The body is none of the three, or compressed.
        InvalidImage: The image is not base64.
    """
    media_type = media_type_of(request)
    if media_type.startswith("image/") or media_type == "application/octet-stream":
        options = validated(ClassifyOptions, fields(request.query_params), strict=False)
        return ClassifyRequest(await request.body(), options)
    if media_type not in ("multipart/form-data", "application/json"):
        problem = "This Content-Type is not accepted." if media_type else "The request has no Content-Type."
        raise UnsupportedMediaType(f"{problem} Send {ACCEPTED}.")
    if request.query_params:
        raise InvalidRequest("With a form or JSON the options belong in the body, not in the query.")
    if media_type == "application/json":
        return await engine.in_thread(read_classify_json, await request.body())
    return await read_form(request, settings)


async def read_json_request(request: Request, schema: type[M], engine: Engine) -> M:
    """Returns the body of a request that takes JSON and nothing else.

    Raises:
        InvalidRequest: It is malformed, or a field is unknown, missing or of the wrong type.
        UnsupportedMediaType: It is not said to be JSON, or it is compressed.
    """
    if media_type_of(request) != "application/json":
        raise UnsupportedMediaType("This Content-Type is not accepted. Send application/json.")
    return await engine.in_thread(read_json, await request.body(), schema)


def media_type_of(request: Request) -> str:
    """Returns the media type in small letters, without its parameters.

    Raises:
        UnsupportedMediaType: The body is compressed.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType("A compressed body is not accepted. Send it without Content-Encoding.")
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form(request: Request, settings: Settings) -> ClassifyRequest:
    """Returns a multipart form's image and options."""
    max_fields = settings.max_labels + MAX_TEMPLATES + len(ClassifyForm.model_fields)
    async with request.form(max_files=1, max_fields=max_fields, max_part_size=settings.max_body_bytes) as form:
        image = form.get("image")
        if isinstance(image, str):
            message = "image must be a file. With curl: -F image=@cat.jpg"
            raise InvalidRequest(message, [Fault("/image", message)])
        values = fields(form)
        if any(isinstance(value, UploadFile) for name in values if name != "image" for value in form.getlist(name)):
            raise InvalidRequest("Only image may be a file; the other fields are text.")
        if image is not None:
            values["image"] = await image.read()
    labels = values.get("labels", [])
    if len(labels) == 1 and labels[0].lstrip().startswith("["):
        values["labels"] = parse_json(labels[0], "labels")
    options = validated(ClassifyForm, values, strict=False)
    return ClassifyRequest(options.image, options)


def read_classify_json(body: bytes) -> ClassifyRequest:
    """Returns a JSON body's image and options."""
    options = read_json(body, ClassifyBody)
    return ClassifyRequest(decode_base64(options.image), options)


def read_json(body: bytes, schema: type[M]) -> M:
    """Returns a JSON body as the schema."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidRequest("The body is not JSON: it is not UTF-8.") from None
    return validated(schema, parse_json(text, "The body"), strict=True)


def fields(pairs: ImmutableMultiDict[str, Any]) -> dict[str, Any]:
    """Returns a form's or a query's fields, the repeatable ones as lists."""
    values: dict[str, Any] = {}
    for name in pairs:
        given = pairs.getlist(name)
        if name not in LISTS and len(given) > 1:
            raise InvalidRequest("Only labels and templates may be repeated.")
        values[name] = given if name in LISTS else given[0]
    return values


def parse_json(text: str, what: str) -> Any:
    """Returns the value of strict JSON: no NaN, no key twice, and no deeper than Python can follow."""

    def refuse(_constant: str) -> None:
        raise InvalidRequest(f"{what} is not JSON: NaN and Infinity are not numbers.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise InvalidRequest(f"{what} has a key twice.")
        return dict(pairs)

    try:
        return json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{what} is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except (RecursionError, ValueError):  # ValueError: a number of thousands of digits
        raise InvalidRequest(f"{what} is not JSON that can be read: too deep, or a number too long.") from None


def decode_base64(text: str) -> bytes:
    """Returns the bytes. URLs and paths are not followed: they are simply not base64."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        hint = " without its data: prefix" if text.startswith("data:") else "; URLs and paths are not followed"
        message = f"image is not base64. Send the file's bytes as standard base64{hint}."
        raise InvalidImage(message, [Fault("/image", message)]) from None
