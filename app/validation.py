"""What a client sent to JSON values and schemas, or to an error in our own words: Pydantic's are for programmers."""

import binascii
import difflib
import json
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import MAX_FAULTS, Fault, InvalidRequest

BOM = "\ufeff"  # some editors and Windows tools write it at the beginning of a text

M = TypeVar("M", bound=BaseModel)


def validated(schema: type[M], values: Any, *, strict: bool) -> M:
    """Returns the values as the schema.

    Raises:
        InvalidRequest: A field is unknown, missing or of the wrong type.
    """
    try:
        return schema.model_validate(values, strict=strict)
    except ValidationError as error:
        raise invalid_request(schema, error) from None


def with_few_unknown(schema: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema's fields and the first unknown ones, since Pydantic makes an error for each of them."""
    unknown = (name for name in values if name not in schema.model_fields)
    names = chain((name for name in schema.model_fields if name in values), islice(unknown, MAX_FAULTS))
    return {name: values[name] for name in names}


def invalid_request(schema: type[BaseModel], error: ValidationError) -> InvalidRequest:
    """Returns our error for Pydantic's. An unknown field's name is not repeated; the nearest known name is given.

    | Pydantic                      | pointer     | message                                       |
    |-------------------------------|-------------|-----------------------------------------------|
    | missing, ("labels",)          | `/labels`   | `labels is missing`                           |
    | extra_forbidden, ("lables",)  |             | `unknown field; did you mean labels?`         |
    | model_type, ()                |             | `the body: input should be an object`         |
    | string_type, ("labels", 3)    | `/labels/3` | `labels/3: input should be a valid string`    |
    """
    faults = []
    for fault in error.errors(include_url=False, include_input=False)[:MAX_FAULTS]:
        unknown = fault["type"] == "extra_forbidden"
        path = fault["loc"][:-1] if unknown else fault["loc"]
        place = "/".join(map(str, path))
        where = place or "the body"
        if unknown and not place:
            message = unknown_field(schema, str(fault["loc"][0]))
        elif unknown:
            message = f"{where}: unknown field"
        elif fault["type"] == "missing":
            message = f"{place} is missing"
        elif fault["type"] == "model_type":
            message = f"{where}: input should be an object"
        else:
            message = f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
        faults.append(Fault(f"/{place}" if place else "", message))
    return with_faults(faults)


def with_faults(faults: list[Fault]) -> InvalidRequest:
    """Returns the error for several faults."""
    sentence = "; ".join(fault.message for fault in faults)
    return InvalidRequest(sentence if sentence.endswith("?") else f"{sentence}.", faults)


def unknown_field(schema: type[BaseModel], name: str) -> str:
    """Returns the message for an unknown field. Its name is not repeated; the nearest known name is given."""
    nearest = difflib.get_close_matches(name[:32], schema.model_fields, n=1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the fields are {', '.join(schema.model_fields)}"
    return f"unknown field; {hint}"


def check_names(schema: type[BaseModel], names: Iterable[str]) -> None:
    """Raises InvalidRequest if a name is not a field of the schema. The first ones are reported."""
    unknown = dict.fromkeys(name for name in names if name not in schema.model_fields)
    if unknown:
        raise with_faults([Fault("", unknown_field(schema, name)) for name in islice(unknown, MAX_FAULTS)])


def parse_json(content: str | bytes, what: str) -> Any:
    """Returns the value of strict JSON.

    Args:
        content: Text, or its UTF-8; a byte order mark is dropped.
        what: The name of the content for the error, such as "The body".

    Raises:
        InvalidRequest: It is not JSON, or JSON that programs read differently: NaN, a repeated key, half of a surrogate
            pair, or nested deeper than Python can follow.
    """

    def refuse(_constant: str) -> None:
        raise InvalidRequest(f"{what} is not JSON: NaN and Infinity are not numbers.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise InvalidRequest(f"{what} has a repeated key.")
        return dict(pairs)

    try:
        text = (content if isinstance(content, str) else content.decode()).removeprefix(BOM)
        value = json.loads(text, parse_constant=refuse, object_pairs_hook=unique)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{what} is not JSON: {error.msg} at line {error.lineno} column {error.colno}.") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{what} is not JSON: it is not UTF-8.") from None
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what} has half of a surrogate pair, which is not a character.") from None
    except (RecursionError, ValueError):  # ValueError: a number with thousands of digits
        raise InvalidRequest(f"{what} is JSON that is nested too deep, or has a number that is too long.") from None
    return value


def parse_base64(text: str) -> bytes:
    """Returns the bytes of standard base64. Line breaks, which MIME has after 76 characters, are dropped.

    Raises:
        ValueError: It is not standard base64. The message continues a sentence that begins with the field's name.
    """
    if "\n" in text or "\r" in text:
        text = text.replace("\n", "").replace("\r", "")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        problem = "is URL-safe base64, with - and _ instead of + and /" if is_url_safe(text) else "is not base64"
        raise ValueError(problem) from None


def is_url_safe(text: str) -> bool:
    """Returns whether a text is base64 in the alphabet for URLs, with or without padding."""
    standard = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        binascii.a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)
    except ValueError:
        return False
    return "-" in text or "_" in text
