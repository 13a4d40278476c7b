"""Vertex AI's predictions and health check, at the paths that its environment variables name."""

import asyncio
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app import errors
from app.errors import InvalidLabels, ServiceError
from app.http.bodies import json_body, read_json
from app.http.problems import problem_responses
from app.inference.acceptance import TunedImage
from app.inference.image_input import EmbeddedImage
from app.labels import check_templates
from app.routes import health
from app.routes.scoring import Classes, Scoring, remap_pointers, together
from app.schemas import (
    IMAGE,
    LABELS,
    PNG,
    SCORES,
    ClassifyOptions,
    FailedImage,
    ResponseWarning,
    ScoredImage,
    Sent,
    Texts,
    example,
)
from app.settings import Settings

PARAMETERS = {name: f"/parameters{name}" for name in ("/labels", "/label_set", "/templates")}


def unwrap(given: Any) -> Any:
    """Returns the text of Vertex AI's object for bytes, `{"b64": "..."}`."""
    return given["b64"] if isinstance(given, dict) and given.keys() == {"b64"} else given


class Base64(BaseModel):
    """Vertex AI's object for bytes."""

    b64: str


class Instance(Sent):
    """One image, with its own labels or those of the parameters."""

    image: Annotated[
        str,
        BeforeValidator(unwrap, json_schema_input_type=str | Base64),
        Field(description="The image file as standard base64, as text or as `b64`."),
    ]
    labels: Texts | None = None


class Parameters(ClassifyOptions):
    """The options of all instances, and the labels of those that have none."""

    @model_validator(mode="after")
    def has_one_source_of_labels(self) -> Self:
        """Accepts missing labels, since the instances may have them."""
        return self

    def of(self, instance: Instance) -> ClassifyOptions:
        """Returns the options of one instance."""
        own = {} if instance.labels is None else {"labels": instance.labels, "label_set": None}
        return ClassifyOptions(**dict(self) | own)


class VertexBody(Sent):
    """A request for predictions."""

    model_config = example({"instances": [{"image": {"b64": PNG}}], "parameters": {"labels": LABELS}})

    # Far more than a request may have: a million would take seconds to read.
    instances: Annotated[list[Instance], Field(fail_fast=True, max_length=10_000)]
    parameters: Parameters | None = None


class Prediction(ScoredImage):
    """One scored instance. Vertex AI returns nothing but predictions, so each has its warnings."""

    warnings: list[ResponseWarning]


class TunedPrediction(TunedImage):
    """One instance, scored with a label set that has thresholds or a calibration."""

    warnings: list[ResponseWarning]


class VertexResponse(BaseModel):
    """One prediction for each instance, in their order."""

    model_config = example({"predictions": [{"image": IMAGE, "scores": SCORES, "warnings": []}]})

    predictions: list[Prediction | TunedPrediction | FailedImage]


def router(settings: Settings) -> APIRouter:
    """Returns the routes whose paths the settings name."""
    routes = APIRouter()
    if settings.aip_health_route:
        responses = problem_responses(errors.NotReady, errors.Draining)
        routes.add_api_route(settings.aip_health_route, health.ready, responses=responses)
    if settings.aip_predict_route:
        routes.add_api_route(
            settings.aip_predict_route,
            predict,
            methods=["POST"],
            response_model=VertexResponse,
            responses=problem_responses(
                *errors.BODY_ERRORS, errors.LabelSetNotFound, errors.InvalidLabels, errors.InvalidTemplate
            ),
            openapi_extra=json_body(VertexBody),
        )
    return routes


async def predict(request: Request) -> Response:
    """Scores labels for one image per instance. An instance that cannot be used gets an error of its own."""
    scoring = Scoring(request)
    body = await read_json(request, VertexBody)
    instances, parameters = body.instances, body.parameters or Parameters()
    scoring.check_count(len(instances), "/instances")
    check_total(instances, parameters, request.app.state.settings.max_labels)
    with remap_pointers(PARAMETERS):
        options = [parameters.of(instance) for instance in instances]

    def prediction(
        image: EmbeddedImage | ServiceError, own: Classes | ServiceError, asked: ClassifyOptions
    ) -> Prediction | TunedPrediction | FailedImage:
        if isinstance(image, ServiceError):
            return scoring.failed(image)
        if isinstance(own, ServiceError):
            return scoring.failed(own)
        scored = scoring.score(image, own, asked)
        schema = TunedPrediction if isinstance(scored, TunedImage) else Prediction
        return schema(**dict(scored), warnings=own.warnings)

    def content() -> str:
        rows = zip(embedded, classes, options, strict=True)
        return f'{{"predictions":[{",".join(prediction(*row).model_dump_json() for row in rows)}]}}'

    with scoring.engine.admission.permit(len(instances)):
        images = [instance.image for instance in instances]
        classes, embedded = await together(
            embed_each(scoring, instances, options),
            scoring.embedder.embed_images(
                images, scoring.record, frame=parameters.frame, pointer="/instances/{}/image"
            ),
        )
        text = await scoring.engine.in_thread(content)
    scoring.record.facts.update(images=len(instances))
    return Response(text, media_type="application/json")


def check_total(instances: list[Instance], parameters: Parameters, max_labels: int) -> None:
    """Refuses more labels in all, or more of them times templates, than one request may have.

    Raises:
        InvalidLabels, InvalidTemplate: There are too many.
    """
    total = sum(len(instance.labels or []) for instance in instances) + len(parameters.labels or [])
    if total > max_labels:
        detail = f"The instances have {total:,} labels in all; at most {max_labels:,} are accepted."
        raise InvalidLabels.at("/instances", detail)
    if parameters.templates is not None:
        with remap_pointers(PARAMETERS):
            check_templates(parameters.templates, total)


async def embed_each(
    scoring: Scoring, instances: list[Instance], options: list[ClassifyOptions]
) -> list[Classes | ServiceError]:
    """Returns each instance's classes, or the error of its labels; the parameters' labels are embedded only once.

    Raises:
        ServiceError: The parameters' labels cannot be used.
    """

    async def attempt(index: int) -> Classes | ServiceError:
        try:
            with remap_pointers({"/labels": f"/instances/{index}/labels"}):
                return await scoring.embed_classes(options[index])
        except ServiceError as error:
            return error

    sharing = [index for index, instance in enumerate(instances) if instance.labels is None]
    with remap_pointers(PARAMETERS):
        shared = [await scoring.embed_classes(options[index]) for index in sharing[:1]] * len(sharing)
    found: dict[int, Classes | ServiceError] = dict(zip(sharing, shared, strict=True))
    async with asyncio.TaskGroup() as group:
        own = [index for index in range(len(instances)) if index not in found]
        tasks = [group.create_task(attempt(index)) for index in own]
    found |= {index: task.result() for index, task in zip(own, tasks, strict=True)}
    return [found[index] for index in range(len(instances))]
