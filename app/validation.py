"""From what a client has sent to a schema's values, or to an error in our words: Pydantic's are for programmers."""

import difflib
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
    """Returns the fields that the schema has, and as many of the others as are told: each makes an error."""
    unknown = (name for name in values if name not in schema.model_fields)
    names = chain((name for name in schema.model_fields if name in values), islice(unknown, MAX_FAULTS))
    return {name: values[name] for name in names}


def invalid_request(schema: type[BaseModel], error: ValidationError) -> InvalidRequest:
    """Returns our error for Pydantic's. An unknown field is not repeated, for it is input; the nearest known is named.

    | Pydantic                      | pointer     | message                                       |
    |-------------------------------|-------------|-----------------------------------------------|
    | missing, ("labels",)          | `/labels`   | `labels is missing`                           |
    | extra_forbidden, ("lables",)  |             | `unknown field; did you mean labels?`         |
    | model_type, ()                |             | `the body: input should be an object`         |
    | string_type, ("labels", 3)    | `/labels/3` | `labels/3: input should be a valid string`    |
    """
    faults = []
    for fault in error.errors(include_url=False, include_input=False)[:MAX_FAULTS]:
        place = "/".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden" and len(fault["loc"]) > 1:
            place = "/".join(map(str, fault["loc"][:-1]))
            faults.append(Fault("/" + place, f"{place}: unknown field"))
        elif fault["type"] == "extra_forbidden":
            nearest = difflib.get_close_matches(place[:32], schema.model_fields, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else f"the fields are {', '.join(schema.model_fields)}"
            faults.append(Fault("", f"unknown field; {hint}"))
        elif fault["type"] == "missing":
            faults.append(Fault("/" + place, f"{place} is missing"))
        elif fault["type"] == "model_type":
            faults.append(Fault("/" + place if place else "", f"{place or 'the body'}: input should be an object"))
        else:
            message = fault["msg"][0].lower() + fault["msg"][1:]
            faults.append(Fault("/" + place if place else "", f"{place or 'the body'}: {message}"))
    sentence = "; ".join(fault.message for fault in faults)
    return InvalidRequest(sentence if sentence.endswith("?") else f"{sentence}.", faults)
