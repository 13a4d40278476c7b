"""/label-sets: labels that are embedded once and then used by name."""

import json
import re
from collections.abc import Sequence
from functools import partial

from fastapi import APIRouter, Request, Response

from app import errors
from app.http.bodies import json_body, read_json
from app.http.problems import problem_responses
from app.inference.engine import Engine
from app.label_sets.definition import check_label_set
from app.label_sets.embedded_examples import num_images
from app.label_sets.label_set import LabelSet
from app.label_sets.label_sets import LabelSets, Precondition
from app.label_sets.names import check_name
from app.label_sets.patch import LabelSetPatch, patched
from app.label_sets.responses import LabelSetList, LabelSetResponse, LabelSetSummary
from app.observability.record import RequestRecord
from app.routes.label_set_bodies import label_set_openapi, read_label_set
from app.schemas import ResponseWarning

router = APIRouter()

ENTITY_TAG = re.compile(r'"[^"]*"')


@router.get(
    "/label-sets",
    response_model_exclude_unset=True,
    responses=problem_responses(errors.Unauthorized, errors.NotReady),
)
async def list_label_sets(request: Request) -> LabelSetList:
    """Lists the stored label sets by name."""
    return LabelSetList(label_sets=[summary(name, label_set) for name, label_set in await stored(request).all()])


@router.get(
    "/label-sets/{name}",
    response_model=LabelSetResponse,
    responses={
        304: {"description": "`If-None-Match` names the stored set."},
        **problem_responses(errors.InvalidRequest, errors.Unauthorized, errors.LabelSetNotFound, errors.NotReady),
    },
    openapi_extra={
        "parameters": [
            {
                "name": "embeddings",
                "in": "query",
                "schema": {"type": "boolean", "default": False},
                "description": "Whether examples have their embeddings.",
            }
        ]
    },
)
async def get_label_set(request: Request, name: str) -> Response:
    """Returns a stored label set, with its `ETag`. Examples are shown by their digests.

    With `?embeddings=true` they have their embeddings too, so that the set can be stored in another service.
    """
    label_set = await stored(request).get(check_name(name))
    headers = {"ETag": label_set.etag}
    if names(request, "if-none-match", label_set):
        return Response(status_code=304, headers=headers)

    def content() -> str:
        definition = label_set.definition
        content = definition.whole if request.query_params.get("embeddings") == "true" else definition.content
        warnings = [warning.model_dump() for warning in label_set.warnings]
        whole = {"name": name} | content | in_force_member(label_set) | {"warnings": warnings}
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))

    engine: Engine = request.app.state.engine
    return Response(await engine.in_thread(content), headers=headers, media_type="application/json")


@router.put(
    "/label-sets/{name}",
    response_model=LabelSetSummary,
    responses={
        201: {"description": "Stored; the name is new.", "model": LabelSetSummary},
        **problem_responses(
            *errors.BODY_ERRORS,
            *errors.IMAGE_ERRORS,
            *errors.STORE_ERRORS,
            errors.OtherEncoder,
            errors.PreconditionFailed,
            errors.InvalidLabels,
            errors.InvalidTemplate,
        ),
    },
    openapi_extra=label_set_openapi(),
)
async def put_label_set(request: Request, name: str) -> Response:
    """Stores a label set, or replaces the one with this name, after embedding it.

    With `If-Match`, it only replaces the set that you have read; with `If-None-Match: *`, it replaces none. Thresholds,
    calibration and examples are for this model and these texts, unless `tuned_for` names others. Example images are
    embedded and forgotten; a form has them as files, in `examples.0` for the first label, and so on.
    """
    label_sets = stored(request)
    engine: Engine = request.app.state.engine
    check_name(name)
    sent, warnings = await read_label_set(request)
    definition = await engine.in_thread(check_label_set, sent, request.app.state.settings.max_labels)
    with engine.admission.permit(max(1, num_images(definition))):
        label_set, created = await label_sets.put(name, definition, precondition(request), request.state.record)
    return changed(request, name, label_set, 201 if created else 200, warnings)


@router.patch(
    "/label-sets/{name}",
    response_model=LabelSetSummary,
    responses=problem_responses(
        *errors.BODY_ERRORS,
        *errors.STORE_ERRORS,
        errors.LabelSetNotFound,
        errors.PreconditionFailed,
        errors.InvalidLabels,
        errors.InvalidTemplate,
    ),
    openapi_extra=json_body(LabelSetPatch),
)
async def patch_label_set(request: Request, name: str) -> Response:
    """Changes thresholds, calibration and templates of a label set; what is left out stays.

    `labels` has changes by a label's index, counted from 0. With `If-Match`, it only changes the set that you have
    read. The set is embedded again only if the templates change.
    """
    label_sets = stored(request)
    engine: Engine = request.app.state.engine
    check_name(name)
    patch = await read_json(request, LabelSetPatch)
    with engine.admission.permit():
        change = partial(patched, patch=patch, max_labels=request.app.state.settings.max_labels)
        label_set = await label_sets.change(name, change, precondition(request), request.state.record)
    return changed(request, name, label_set, 200)


@router.delete(
    "/label-sets/{name}",
    status_code=204,
    responses=problem_responses(
        errors.InvalidRequest,
        errors.Unauthorized,
        *errors.STORE_ERRORS,
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
    """Returns the label sets.

    Raises:
        NotReady: They are not loaded yet.
    """
    engine: Engine = request.app.state.engine
    _ = engine.embedder
    label_sets: LabelSets = request.app.state.label_sets
    return label_sets


def changed(
    request: Request, name: str, label_set: LabelSet, status: int, warnings: Sequence[ResponseWarning] = ()
) -> Response:
    """Returns the response to a request that has stored a set, with the set's warnings and these."""
    record: RequestRecord = request.state.record
    record.facts["labels"] = len(label_set.definition.labels)
    whole = summary(name, label_set).model_copy(update={"warnings": [*label_set.warnings, *warnings]})
    content = whole.model_dump_json(exclude_unset=True)
    return Response(content, status, headers={"ETag": label_set.etag}, media_type="application/json")


def summary(name: str, label_set: LabelSet) -> LabelSetSummary:
    """Returns a set without its labels."""
    size = len(label_set.definition.labels)
    return LabelSetSummary.model_validate(
        {"name": name, "size": size, "etag": label_set.etag} | in_force_member(label_set)
    )


def in_force_member(label_set: LabelSet) -> dict[str, bool]:
    """Returns the member `in_force`, or nothing for a set for which nothing was tuned."""
    return {} if label_set.in_force is None else {"in_force": label_set.in_force}


def precondition(request: Request) -> Precondition:
    """Returns a function that raises PreconditionFailed if the current set is not the one that the request expects."""

    def check(label_set: LabelSet | None) -> None:
        if "if-match" in request.headers and not names(request, "if-match", label_set):
            raise errors.PreconditionFailed("The label set is not the one that If-Match names. Read it again.")
        if names(request, "if-none-match", label_set):
            raise errors.PreconditionFailed("There already is a label set that If-None-Match excludes.")

    return check


def names(request: Request, header: str, label_set: LabelSet | None) -> bool:
    """Returns whether `If-Match` or `If-None-Match` names the current set (RFC 9110, 13.1).

    | header                        | current set    | named           |
    |-------------------------------|----------------|-----------------|
    | `If-Match: *`                 | none           | no              |
    | `If-Match: "a", "b"`          | `"b"`          | yes             |
    | `If-Match: W/"b"`             | `"b"`          | yes             |

    A weak tag counts too, because a tag here is a digest of the content, and a compressing proxy makes it weak.
    """
    value = ",".join(request.headers.getlist(header)).strip()
    if label_set is None or value == "*":
        return label_set is not None
    return label_set.etag in ENTITY_TAG.findall(value)
