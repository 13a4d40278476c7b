"""What a client sent to JSON values and schemas, or to an error in our own words: Pydantic's are for programmers."""

import difflib
import json
from itertools import chain, islice
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import MAX_FAULTS, Fault, InvalidRequest

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
            nearest = difflib.get_close_matches(str(fault["loc"][0])[:32], schema.model_fields, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"the fields are {', '.join(schema.model_fields)}"
            message = f"unknown field; {hint}"
        elif unknown:
            message = f"{where}: unknown field"
        elif fault["type"] == "missing":
            message = f"{place} is missing"
        elif fault["type"] == "model_type":
            message = f"{where}: input should be an object"
        else:
            message = f"{where}: {fault['msg'][0].lower()}{fault['msg'][1:]}"
        faults.append(Fault(f"/{place}" if place else "", message))
    sentence = "; ".join(fault.message for fault in faults)
    return InvalidRequest(sentence if sentence.endswith("?") else f"{sentence}.", faults)


def parse_json(content: str | bytes, what: str) -> Any:
    """Returns the value of strict JSON.

    Args:
        content: Text, or its UTF-8.
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
        text = content if isinstance(content, str) else content.decode()
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
