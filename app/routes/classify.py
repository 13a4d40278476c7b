"""POST /classify: one image, many labels. POST /classify/batch: many images, the same labels."""

from fastapi import APIRouter, Request, Response

from app import errors
from app.errors import ServiceError
from app.http.bodies import Bodies, read_request
from app.http.problems import problem_responses
from app.inference.acceptance import TunedBatchResponse, TunedImage, TunedResponse
from app.inference.image_input import EmbeddedImage
from app.routes.scoring import Scoring, together
from app.schemas import (
    BatchBody,
    BatchForm,
    BatchResponse,
    ClassifyBody,
    ClassifyForm,
    ClassifyOptions,
    ClassifyResponse,
    FailedImage,
    ResponseWarning,
    ScoredImage,
)

router = APIRouter()

ONE_IMAGE = Bodies(ClassifyOptions, ClassifyForm, ClassifyBody)
MANY_IMAGES = Bodies(ClassifyOptions, BatchForm, BatchBody)
FAILURES = (*errors.BODY_ERRORS, errors.LabelSetNotFound, errors.InvalidLabels, errors.InvalidTemplate)


@router.post(
    "/classify",
    response_model=ClassifyResponse | TunedResponse,
    responses=problem_responses(*FAILURES, *errors.IMAGE_ERRORS),
    openapi_extra=ONE_IMAGE.openapi(),
)
async def classify(request: Request) -> Response:
    """Scores each label for one image.

    Send a form, JSON with the image as base64, or the image itself with the options in the query.
    """
    scoring = Scoring(request)  # before the body is read: it raises NotReady
    (image,), options = await read_request(request, ONE_IMAGE)

    def content(scored: ScoredImage, warnings: list[ResponseWarning]) -> str:
        schema = TunedResponse if isinstance(scored, TunedImage) else ClassifyResponse
        return schema(model=scoring.model, **dict(scored), warnings=warnings).model_dump_json()

    return await scoring.classify_one(image, options, content)


@router.post(
    "/classify/batch",
    response_model=BatchResponse | TunedBatchResponse,
    responses=problem_responses(*FAILURES),
    openapi_extra=MANY_IMAGES.openapi(),
)
async def classify_batch(request: Request) -> Response:
    """Scores each label for each of several images. An image that cannot be used gets an error of its own.

    Send a form, or JSON with the images as base64.
    """
    scoring = Scoring(request)
    images, options = await read_request(request, MANY_IMAGES)
    scoring.check_count(len(images), "/images")

    def result(image: EmbeddedImage | ServiceError) -> ScoredImage | FailedImage:
        return scoring.failed(image) if isinstance(image, ServiceError) else scoring.score(image, classes, options)

    def content() -> str:
        # One by one: all 640,000 scores at once take hundreds of megabytes and hold the interpreter for a second.
        results = ",".join(result(image).model_dump_json() for image in embedded)
        warnings = ",".join(warning.model_dump_json() for warning in classes.warnings)
        return f'{{"model":{scoring.model.model_dump_json()},"results":[{results}],"warnings":[{warnings}]}}'

    with scoring.engine.admission.permit(len(images)):
        classes, embedded = await together(
            scoring.embed_classes(options),
            scoring.embedder.embed_images(images, scoring.record, frame=options.frame),
        )
        text = await scoring.engine.in_thread(content)
    failed = sum(isinstance(image, ServiceError) for image in embedded)
    scoring.record.facts.update(images=len(images), failed=failed, labels=len(classes.labels))
    return Response(text, media_type="application/json")
