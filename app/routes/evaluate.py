"""POST /evaluate: labelled images or their embeddings in, the numbers of `siglip evaluate` out."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from fastapi import APIRouter, Request, Response

from app import errors
from app.errors import MAX_FAULTS, InvalidImage, ServiceError
from app.evaluation.inputs import Inputs, described_model, evaluate_inputs, example_warnings, renumbered
from app.evaluation.logits import class_logits
from app.evaluation.request import (
    EvaluateBody,
    EvaluateForm,
    EvaluateOptions,
    check_num_scores,
    labelled_images,
    sent_labels,
)
from app.evaluation.responses import EvaluateResponse, UnusedImage
from app.evaluation.tuned_label_set import tuned_label_set, untuned
from app.http.bodies import Bodies, read_request
from app.http.problems import problem_responses
from app.inference.embedding_rows import check_fingerprint, read_rows
from app.inference.identity import model_fingerprint
from app.inference.image_input import with_digest
from app.label_sets.definition import LabelSetDefinition
from app.label_sets.label_sets import LabelSets
from app.routes.scoring import Classes, Scoring

router = APIRouter()

BODIES = Bodies(EvaluateOptions, EvaluateForm, EvaluateBody)


class Embedded(NamedTuple):
    """The images of a request that have an embedding, N of them, and the errors of the others."""

    rows: np.ndarray
    """[N, E]."""
    digests: list[str]
    """N; copies have the same."""
    indices: Sequence[int]
    """Their places in the request, N."""
    failed: Mapping[int, ServiceError]
    """By place in the request."""


@router.post(
    "/evaluate",
    response_model=EvaluateResponse,
    responses=problem_responses(
        *errors.BODY_ERRORS,
        errors.LabelSetNotFound,
        errors.OtherEncoder,
        errors.InvalidImage,
        errors.InvalidLabels,
        errors.InvalidTemplate,
    ),
    openapi_extra=BODIES.openapi(),
)
async def evaluate(request: Request) -> Response:
    """Compares the answers for labelled images with their true labels: accuracy, confusions, thresholds, calibration.

    Send a form with images, or JSON with images as base64 or with embeddings. `goal` chooses thresholds and `calibrate`
    fits probabilities; `label_set` in the response then has them. An image that cannot be used is listed in `failed`.
    """
    scoring = Scoring(request)
    in_thread, permit = scoring.engine.in_thread, scoring.engine.admission.permit
    fingerprint = model_fingerprint(scoring.embedder.encoder.info, request.app.state.settings)
    files, options = await read_request(request, BODIES)
    stored = await read_stored(scoring, options, fingerprint)
    if stored is None:
        scoring.check_count(len(files), "/images")
    count = len(files) if stored is None else len(stored.rows)
    if options.labels is not None:  # before they are embedded
        check_num_scores(count, len(options.labels))
    with permit(count if stored is None else 1):
        classes, definition = await evaluated_labels(request, scoring, options)
        check_num_scores(count, len(classes.labels))
        images = await in_thread(labelled_images, options, count, len(classes.labels))
        found = stored or await embed(scoring, files, options.frame)

    def content() -> str:
        encoder = scoring.embedder.encoder
        bias = encoder.bias if classes.biases is None else classes.biases
        unusable = [(images[index].name, error.detail) for index, error in found.failed.items()]
        inputs = Inputs([images[index] for index in found.indices], found.digests, unusable)
        result = evaluate_inputs(
            inputs,
            class_logits(found.rows, classes.weights, encoder.scale, bias),
            definition,
            range(len(classes.labels)),
            model_fingerprint=fingerprint,
            settings=described_model(encoder.info),
            goal=options.goal,
            calibrate_by=options.calibrate,
        )
        result.warnings.extend(example_warnings(inputs, definition, found.rows))
        failed = [UnusedImage(index=index, error=scoring.failed(error).error) for index, error in found.failed.items()]
        members: dict[str, Any] = {
            "model": scoring.model.model_dump(),
            "model_fingerprint": fingerprint,
            "evaluation": renumbered(result, found.indices).to_dict(),
            "failed": [image.model_dump() for image in failed],
        }
        if options.goal is not None or options.calibrate is not None:
            members["label_set"] = tuned_label_set(definition, result).content
        members["warnings"] = [warning.model_dump() for warning in classes.warnings]
        return json.dumps(members, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    text = await scoring.engine.in_long_thread(content)
    scoring.record.facts.update(images=count, failed=len(found.failed), labels=len(classes.labels))
    return Response(text, media_type="application/json")


async def read_stored(scoring: Scoring, options: EvaluateOptions, fingerprint: str) -> Embedded | None:
    """Returns the embeddings that a request contains, or None if it contains images.

    Raises:
        OtherEncoder: They are not this encoder's.
        InvalidRequest: A row is not an embedding.
    """
    if not isinstance(options, EvaluateBody) or options.embeddings is None:
        return None
    check_fingerprint(options.model_fingerprint or "", fingerprint)

    def read(embeddings: Sequence[Any]) -> Embedded:
        rows = read_rows(embeddings, scoring.embedder.encoder.info.embed_dim)
        digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in rows]
        return Embedded(rows, digests, range(len(rows)), {})

    return await scoring.engine.in_thread(read, options.embeddings)


async def embed(scoring: Scoring, files: Sequence[bytes | str], frame: int) -> Embedded:
    """Returns the embeddings of image files.

    Raises:
        InvalidImage: None of them can be used.
        InternalError: The device failed.
    """
    images = await scoring.embedder.embed_images(files, scoring.record, frame=frame)
    failed = {index: image for index, image in enumerate(images) if isinstance(image, ServiceError)}
    rows = {index: image.row for index, image in enumerate(images) if not isinstance(image, ServiceError)}
    for error in failed.values():
        if not isinstance(error, errors.IMAGE_ERRORS):  # the service has failed, not the image
            raise error
    if not rows:
        faults = [fault for error in failed.values() for fault in error.faults]
        raise InvalidImage(f"No image can be used. The first one: {failed[0].detail}", faults[:MAX_FAULTS])
    digests = await scoring.engine.in_thread(lambda: [with_digest(files[index])[1].hex() for index in rows])
    return Embedded(np.stack(list(rows.values())), digests, list(rows), failed)


async def evaluated_labels(
    request: Request, scoring: Scoring, options: EvaluateOptions
) -> tuple[Classes, LabelSetDefinition]:
    """Returns the labels of a request, with what made their classifiers.

    What was tuned for a label set and is not in force is left out: the scores are those of its texts alone.
    """
    if options.label_set is not None:
        label_sets: LabelSets = request.app.state.label_sets
        label_set = await label_sets.get(options.label_set)
        classes = scoring.stored_classes(options.label_set, label_set)
        return classes, untuned(label_set.definition) if label_set.in_force is False else label_set.definition
    max_labels = request.app.state.settings.max_labels
    classes = await scoring.embed_classes(options)
    return classes, await scoring.engine.in_thread(sent_labels, options, max_labels)
