"""POST /classify: one image, many labels. POST /classify/batch: many images, the same labels."""

from fastapi import APIRouter, Request, Response

from app import errors
from app.errors import ServiceError
from app.http.bodies import Bodies, read_request
from app.inference.engine import Engine, together
from app.inference.image_input import EmbeddedImage
from app.routes.pictures import embed_image_files
from app.routes.scoring import check_count, classify_one, embed_classes, failed, score
from app.schemas import (
    BatchBody,
    BatchForm,
    BatchResponse,
    ClassifyBody,
    ClassifyForm,
    ClassifyOptions,
    ClassifyResponse,
    FailedImage,
    ModelName,
    ScoredImage,
    problem_responses,
)

router = APIRouter()

ONE_IMAGE = Bodies(ClassifyOptions, ClassifyForm, ClassifyBody)
MANY_IMAGES = Bodies(ClassifyOptions, BatchForm, BatchBody)
FAILURES = (*errors.OF_A_BODY, errors.LabelSetNotFound, errors.InvalidLabels, errors.InvalidTemplate)


@router.post(
    "/classify",
    response_model=ClassifyResponse,
    responses=problem_responses(*FAILURES, errors.ImageTooLarge, errors.InvalidImage),
    openapi_extra=ONE_IMAGE.openapi(),
)
async def classify(request: Request) -> Response:
    """Scores each label against one image.

    Send a form, JSON with the image as base64, or the image itself with the options in the query.
    """
    engine: Engine = request.app.state.engine
    model = ModelName.of(engine.encoder.info)  # not ready is said before the body is read
    (image,), options = await read_request(request, ONE_IMAGE)
    return await classify_one(
        request, image, options, lambda scored: ClassifyResponse(model=model, **dict(scored)).model_dump_json()
    )


@router.post(
    "/classify/batch",
    response_model=BatchResponse,
    responses=problem_responses(*FAILURES),
    openapi_extra=MANY_IMAGES.openapi(),
)
async def classify_batch(request: Request) -> Response:
    """Scores each label against each of several images; an image that cannot be used fails alone.

    Send a form, or JSON with the images as base64.
    """
    engine: Engine = request.app.state.engine
    model = ModelName.of(engine.encoder.info)
    images, options = await read_request(request, MANY_IMAGES)
    check_count(request, len(images), "/images")

    def result(picture: EmbeddedImage | ServiceError) -> ScoredImage | FailedImage:
        if isinstance(picture, ServiceError):
            return failed(request, picture)
        return score(engine, picture, classes, options)

    def answer() -> str:
        # One by one: all in one, 640,000 scores take hundreds of megabytes and hold the interpreter for a second.
        results = ",".join(result(picture).model_dump_json() for picture in pictures)
        return f'{{"model":{model.model_dump_json()},"results":[{results}]}}'

    with engine.admission.permit(len(images)):
        classes, pictures = await together(embed_classes(request, options), embed_image_files(request, images))
        content = await engine.in_thread(answer)
    unusable = sum(isinstance(picture, ServiceError) for picture in pictures)
    request.state.facts.update(images=len(images), failed=unusable, labels=len(classes.labels))
    return Response(content, media_type="application/json")
