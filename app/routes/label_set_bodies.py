"""The bodies of requests that change label sets: JSON, or a form with the example images as files."""

import re
from typing import Any

from fastapi import Request
from pydantic import BaseModel

from app.errors import InvalidRequest
from app.http.bodies import in_one_piece, media_type_of, parse_form, read_json, unaccepted
from app.http.forms import Part
from app.http.openapi import form_content
from app.label_sets.definition import LabelSetBody
from app.label_sets.examples import KINDS
from app.label_sets.patch import ExamplesBody
from app.labels import LABELS_SPLIT, read_labels
from app.schemas import FILE, ResponseWarning
from app.validation import parse_json, validated

FORM, JSON = "multipart/form-data", "application/json"
EXAMPLES_OF = re.compile(r"^(examples|counterexamples)\.(0|[1-9][0-9]{0,8})$")
LISTS = ("labels", "templates")
FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}


def label_set_openapi() -> dict[str, Any]:
    """Returns the `openapi_extra` of a PUT."""
    texts = {"type": "array", "items": {"type": "string"}}
    json_text = {"type": "string", "description": "JSON"}
    properties: dict[str, Any] = dict.fromkeys(LISTS, texts)
    properties |= dict.fromkeys(("threshold", "calibration", "tuned_for"), json_text)
    properties["examples.0"] = FILES | {"description": "Examples of the first label, and so on: examples.1, ..."}
    properties["counterexamples.0"] = FILES | {"description": "Images that do not show the first label, and so on."}
    form = {"type": "object", "properties": properties, "required": ["labels"], "additionalProperties": False}
    form["patternProperties"] = {EXAMPLES_OF.pattern: FILES}
    form["example"] = {"labels": ["cat", "dog"], "examples.0": [FILE], "examples.1": [FILE, FILE]}
    return request_body(LabelSetBody, form)


def examples_openapi() -> dict[str, Any]:
    """Returns the `openapi_extra` of a POST of examples."""
    properties = dict.fromkeys(KINDS, FILES)
    form = {"type": "object", "properties": properties, "additionalProperties": False, "example": {"examples": [FILE]}}
    return request_body(ExamplesBody, form)


def request_body(schema: type[BaseModel], form: dict[str, Any]) -> dict[str, Any]:
    """Returns the description of a body that is JSON or a form."""
    return {
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": in_one_piece(schema)}, FORM: form_content(form)},
        }
    }


async def read_label_set(request: Request) -> tuple[LabelSetBody, list[ResponseWarning]]:
    """Returns the body of a PUT, and the warning if one text was split into labels.

    Raises:
        InvalidRequest: It is malformed, or a field is unknown, missing or of the wrong type.
        UnsupportedMediaType: It is neither JSON nor a form.
    """

    def read(parts: list[Part]) -> tuple[LabelSetBody, list[ResponseWarning]]:
        values, is_split = label_set_values(parts)
        return validated(LabelSetBody, values, strict=True), [LABELS_SPLIT] if is_split else []

    if is_form(request):
        return await parse_form(request, read)
    return await read_json(request, LabelSetBody), []


async def read_examples(request: Request) -> ExamplesBody:
    """Returns the body of a POST of examples; raises as `read_label_set`."""

    def read(parts: list[Part]) -> ExamplesBody:
        return validated(ExamplesBody, examples_values(parts), strict=True)

    body = await (parse_form(request, read) if is_form(request) else read_json(request, ExamplesBody))
    if not body.examples and not body.counterexamples:
        raise InvalidRequest("There are no images. Send examples, counterexamples or both.")
    return body


def is_form(request: Request) -> bool:
    """Returns whether the body is a form, and not JSON.

    Raises:
        UnsupportedMediaType: It is neither.
    """
    media_type = media_type_of(request)
    if media_type not in (FORM, JSON):
        raise unaccepted(media_type, f"{JSON} or {FORM}")
    return media_type == FORM


def label_set_values(parts: list[Part]) -> tuple[dict[str, Any], bool]:
    """Returns the JSON values of a form with a label set, and whether one text was split into labels.

    Examples are added to the labels with their index.
    """
    values: dict[str, Any] = {}
    is_split = False
    texts, files = texts_and_files(parts, EXAMPLES_OF)
    for name, given in texts.items():
        if name in LISTS and len(given) == 1 and given[0].lstrip().startswith("["):
            values[name] = parse_json(given[0], name)  # here, labels may be objects
        elif name == "labels":
            values[name], is_split = read_labels(given)
        elif name == "templates":
            values[name] = given
        elif len(given) > 1:
            raise InvalidRequest(f"Only {', '.join(LISTS)} and files may be repeated.")
        else:
            values[name] = parse_json(given[0], "A field that is neither a label nor a template")
    for name, contents in files.items():
        kind, _, index = name.partition(".")
        labels = values.get("labels", [])
        if int(index) >= len(labels):
            raise InvalidRequest.at(f"/{name}", f"There is no label with this index; {len(labels):,} labels were sent")
        label = labels[int(index)]
        label = label if isinstance(label, dict) else {"label": label}
        labels[int(index)] = label | {kind: [*label.get(kind, []), *contents]}
    return values, is_split


def examples_values(parts: list[Part]) -> dict[str, Any]:
    """Returns the JSON values of a form with examples."""
    texts, files = texts_and_files(parts, re.compile("|".join(KINDS)))
    return texts | files


def texts_and_files(parts: list[Part], file_names: re.Pattern[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns a form's texts and its files, by field.

    Raises:
        InvalidRequest: A field with such a name is text, or another one is a file.
    """
    texts: dict[str, list[str]] = {}
    files: dict[str, list[bytes]] = {}
    for part in parts:
        if not file_names.fullmatch(part.name):
            if part.is_file:
                raise InvalidRequest("A file belongs into a field such as examples.0, where 0 is the label's index.")
            texts.setdefault(part.name, []).append(part.text)
        elif part.looks_like_text:
            raise InvalidRequest.at(f"/{part.name}", f"{part.name} must be a file. With curl: -F {part.name}=@cat.jpg")
        else:
            files.setdefault(part.name, []).append(part.content)
    return texts, files
