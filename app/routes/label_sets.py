"""/label-sets: labels that are embedded once and then asked for by name."""

import re

from fastapi import APIRouter, Request, Response

from app import errors
from app.http.bodies import json_body, read_json
from app.inference.engine import Engine
from app.label_sets.definition import LabelSetAnswer, LabelSetDefinition, LabelSetList, LabelSetSummary, check_label_set
from app.label_sets.store import LabelSet, LabelSets, Precondition, check_name
from app.schemas import problem_responses

router = APIRouter()

ENTITY_TAG = re.compile(r'(W/)?("[^"]*")')


@router.get("/label-sets", responses=problem_responses(errors.Unauthorized, errors.NotReady))
async def list_label_sets(request: Request) -> LabelSetList:
    """Lists the stored label sets by name."""
    return LabelSetList(label_sets=[summary(name, label_set) for name, label_set in stored(request).all()])


@router.get(
    "/label-sets/{name}",
    response_model=LabelSetAnswer,
    responses={
        304: {"description": "`If-None-Match` names the stored set."},
        **problem_responses(errors.InvalidRequest, errors.Unauthorized, errors.LabelSetNotFound, errors.NotReady),
    },
)
async def get_label_set(request: Request, name: str) -> Response:
    """Answers a label set as it is kept, with its `ETag`."""
    label_set = stored(request).get(check_name(name))
    headers = {"ETag": label_set.etag}
    if names(request, "if-none-match", label_set):
        return Response(status_code=304, headers=headers)

    def content() -> str:
        definition = label_set.definition
        return LabelSetAnswer(name=name, labels=definition.labels, templates=definition.templates).model_dump_json()

    engine: Engine = request.app.state.engine
    return Response(await engine.in_thread(content), headers=headers, media_type="application/json")


@router.put(
    "/label-sets/{name}",
    response_model=LabelSetSummary,
    responses={
        201: {"description": "Stored; there was none of this name.", "model": LabelSetSummary},
        **problem_responses(*errors.OF_A_BODY, errors.PreconditionFailed, errors.InvalidLabels, errors.InvalidTemplate),
    },
    openapi_extra=json_body(LabelSetDefinition),
)
async def put_label_set(request: Request, name: str) -> Response:
    """Stores a label set, or replaces the one of this name, once it is embedded.

    With `If-Match`, only what you have read is replaced; with `If-None-Match: *`, nothing is.
    """
    label_sets = stored(request)
    engine: Engine = request.app.state.engine
    check_name(name)
    sent = await read_json(request, LabelSetDefinition)
    definition = await engine.in_thread(check_label_set, sent, request.app.state.settings.max_labels)
    with engine.admission.permit():
        label_set, created = await label_sets.put(name, definition, precondition(request))
    request.state.facts.update(labels=len(definition.labels))
    content = summary(name, label_set).model_dump_json()
    headers = {"ETag": label_set.etag}
    return Response(content, 201 if created else 200, headers=headers, media_type="application/json")


@router.delete(
    "/label-sets/{name}",
    status_code=204,
    responses=problem_responses(
        errors.InvalidRequest,
        errors.Unauthorized,
        errors.LabelSetNotFound,
        errors.PreconditionFailed,
        errors.InternalError,
        errors.NotReady,
    ),
)
async def delete_label_set(request: Request, name: str) -> None:
    """Removes a label set; with `If-Match`, only the one that you have read."""
    await stored(request).delete(check_name(name), precondition(request))


def stored(request: Request) -> LabelSets:
    """Returns the label sets, once they are loaded.

    Raises:
        NotReady: They are not yet.
    """
    engine: Engine = request.app.state.engine
    _ = engine.encoder
    label_sets: LabelSets = request.app.state.label_sets
    return label_sets


def summary(name: str, label_set: LabelSet) -> LabelSetSummary:
    """Returns a set without its labels."""
    return LabelSetSummary(name=name, size=len(label_set.definition.labels), etag=label_set.etag)


def precondition(request: Request) -> Precondition:
    """Returns what refuses a change if the set in force is not what the request expects."""

    def check(label_set: LabelSet | None) -> None:
        if "if-match" in request.headers and not names(request, "if-match", label_set):
            raise errors.PreconditionFailed("The label set is not the one that If-Match names. Read it again.")
        if names(request, "if-none-match", label_set):
            raise errors.PreconditionFailed("There is a label set already that If-None-Match excludes.")

    return check


def names(request: Request, header: str, label_set: LabelSet | None) -> bool:
    """Returns whether one of the two headers names the set that is in force (RFC 9110, 13.1).

    | header                        | is in force    | named           |
    |-------------------------------|----------------|-----------------|
    | `If-Match: *`                 | nothing        | no              |
    | `If-Match: "a", "b"`          | `"b"`          | yes             |
    | `If-Match: W/"b"`             | `"b"`          | no: weak        |
    | `If-None-Match: W/"b"`        | `"b"`          | yes             |
    """
    value = ",".join(request.headers.getlist(header)).strip()
    if label_set is None or value == "*":
        return label_set is not None
    tags = [tag for weak, tag in ENTITY_TAG.findall(value) if not (weak and header == "if-match")]
    return label_set.etag in tags
