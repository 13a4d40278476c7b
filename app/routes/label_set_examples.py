"""/label-sets/{name}/labels/{index}/examples and /label-sets/{name}/preview: teach a label by example images."""

from functools import partial

import numpy as np
from fastapi import APIRouter, Request, Response

from app import errors
from app.errors import InvalidRequest, ServiceError
from app.http.bodies import json_body, read_json
from app.http.problems import problem_responses
from app.inference.embeddings import ScoredEmbedding, scored_embedding
from app.inference.image_input import EmbeddedImage
from app.label_sets.definition import check_label_set
from app.label_sets.label_set import LabelSet
from app.label_sets.names import check_name
from app.label_sets.patch import INDEX, with_more_examples, without_examples
from app.label_sets.responses import LabelSetSummary, PreviewBody, PreviewedImage, PreviewResponse
from app.routes.label_set_bodies import examples_openapi, read_examples
from app.routes.label_sets import changed, precondition, stored
from app.routes.scoring import Scoring
from app.schemas import FailedImage, LabelOptions, ResponseWarning

router = APIRouter()

NO_SET = "-"  # in a path, instead of a name
THRESHOLDS_BEFORE_EXAMPLES = ResponseWarning(
    code="thresholds_before_examples",
    message="The set's thresholds or calibration were chosen before its examples changed. Choose them again.",
)
FAILURES = (
    *errors.BODY_ERRORS,
    *errors.STORE_ERRORS,
    errors.NotFound,
    errors.LabelSetNotFound,
    errors.OtherEncoder,
    errors.PreconditionFailed,
    errors.InvalidLabels,
)


@router.post(
    "/label-sets/{name}/labels/{index}/examples",
    response_model=LabelSetSummary,
    responses=problem_responses(*FAILURES, *errors.IMAGE_ERRORS),
    openapi_extra=examples_openapi(),
)
async def add_examples(request: Request, name: str, index: str) -> Response:
    """Adds examples and counterexamples to one label, counted from 0. The set learns from all of them again.

    The images are embedded and forgotten. With `If-Match`, it only changes the set that you have read.
    """
    label_sets, record = stored(request), request.state.record
    change = partial(with_more_examples, index=label_index(index))
    check_name(name)
    more = await read_examples(request)
    with request.app.state.engine.admission.permit(max(1, len(more.examples) + len(more.counterexamples))):
        label_set = await label_sets.change(name, partial(change, more=more), precondition(request), record)
    return changed(request, name, label_set, 200, outdated(label_set))


@router.delete(
    "/label-sets/{name}/labels/{index}/examples",
    response_model=LabelSetSummary,
    responses=problem_responses(*FAILURES),
    openapi_extra={
        "parameters": [
            {
                "name": "digest",
                "in": "query",
                "schema": {"type": "array", "items": {"type": "string"}},
                "description": "Of an example to remove, as GET shows it; may be repeated. Default: all.",
            }
        ]
    },
)
async def remove_examples(request: Request, name: str, index: str) -> Response:
    """Removes examples and counterexamples of one label: those with the given digests, or all.

    With `If-Match`, it only changes the set that you have read.
    """
    label_sets, record = stored(request), request.state.record
    if request.query_params.keys() - {"digest"}:
        raise InvalidRequest("The only option in the query is digest.")
    digests = request.query_params.getlist("digest")
    change = partial(without_examples, index=label_index(index), digests=digests)
    with request.app.state.engine.admission.permit():
        label_set = await label_sets.change(check_name(name), change, precondition(request), record)
    return changed(request, name, label_set, 200, outdated(label_set))


@router.post(
    "/label-sets/{name}/preview",
    response_model=PreviewResponse,
    responses=problem_responses(*FAILURES, *errors.IMAGE_ERRORS),
    openapi_extra=json_body(PreviewBody),
)
async def preview(request: Request, name: str) -> Response:
    """Scores images with the stored set and with a changed definition of it. Nothing is stored.

    With `-` instead of a name, the scores before are those of the definition without what was tuned and learnt.
    """
    scoring = Scoring(request)
    label_sets = stored(request)
    name_or_none = None if name == NO_SET else check_name(name)
    body = await read_json(request, PreviewBody)
    scoring.check_count(len(body.images), "/images")
    definition = await scoring.engine.in_thread(check_label_set, body.definition, request.app.state.settings.max_labels)
    options = LabelOptions(label_set=name, top_k=body.top_k)
    with scoring.engine.admission.permit(len(body.images)):
        after = await label_sets.preview(name_or_none, definition, scoring.record)
        before = await label_sets.get(name_or_none) if name_or_none else after.untuned
        embedded = await scoring.embedder.embed_images(body.images, scoring.record)

    def result(image: EmbeddedImage | ServiceError) -> PreviewedImage | FailedImage:
        if isinstance(image, ServiceError):
            return scoring.failed(image)
        row = image.row
        return PreviewedImage(image=image.facts, before=scored(row, before), after=scored(row, after))

    def scored(row: np.ndarray, label_set: LabelSet) -> ScoredEmbedding:
        scores = scoring.embedder.scores(row, label_set.weights, label_set.biases)
        return scored_embedding(label_set.definition.names, scores, options, label_set.tuning)

    def content() -> str:
        results = ",".join(result(image).model_dump_json() for image in embedded)
        warnings = ",".join(warning.model_dump_json() for warning in after.warnings)
        return f'{{"model":{scoring.model.model_dump_json()},"results":[{results}],"warnings":[{warnings}]}}'

    scoring.record.facts.update(images=len(embedded), labels=len(definition.labels))
    return Response(await scoring.engine.in_thread(content), media_type="application/json")


def label_index(text: str) -> int:
    """Returns the index of a label in a path.

    Raises:
        NotFound: It is not a number.
    """
    if not INDEX.fullmatch(text):
        raise errors.NotFound("A label is named by its index in the set, counted from 0.")
    return int(text)


def outdated(label_set: LabelSet) -> list[ResponseWarning]:
    """Returns the warning after a change of examples, if the set has thresholds that are in force."""
    return [THRESHOLDS_BEFORE_EXAMPLES] if label_set.in_force and label_set.tuning else []
