"""Vertex AI's predictions and health check, at the paths that its variables name; without them, nothing."""

import asyncio
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app import errors
from app.errors import Fault, InvalidLabels, ServiceError
from app.http.bodies import json_body, read_json
from app.http.examples import READY, VERTEX
from app.inference.engine import Engine, together
from app.inference.image_input import EmbeddedImage
from app.labels import check_templates
from app.routes import health
from app.routes.pictures import embed_image_files
from app.routes.scoring import Classes, check_count, embed_classes, failed, remap_pointers, score
from app.schemas import ClassifyOptions, FailedImage, ScoredImage, Sent, Texts, problem_responses
from app.settings import Settings

PARAMETERS = {name: f"/parameters{name}" for name in ("/labels", "/label_set", "/templates")}  # where they are there


def unwrap(given: Any) -> Any:
    """Returns base64 in Vertex AI's object for bytes, `{"b64": "..."}`, as the text itself."""
    return given["b64"] if isinstance(given, dict) and given.keys() == {"b64"} else given


class Base64(BaseModel):
    """Vertex AI's object for bytes."""

    b64: str


class Instance(Sent):
    """One image, with labels of its own or those of the parameters."""

    image: Annotated[
        str,
        BeforeValidator(unwrap, json_schema_input_type=str | Base64),
        Field(description="The image file as standard base64, as text or as `b64`."),
    ]
    labels: Texts | None = None


class Parameters(ClassifyOptions):
    """What holds for all instances; the labels, for those that have none of their own."""

    @model_validator(mode="after")
    def has_one_source_of_labels(self) -> Self:
        """Lets labels be missing, which the instances may have."""
        return self

    def of(self, instance: Instance) -> ClassifyOptions:
        """Returns what is asked of one instance."""
        own = {} if instance.labels is None else {"labels": instance.labels, "label_set": None}
        return ClassifyOptions(**dict(self) | own)


class VertexBody(Sent):
    """A request for predictions."""

    # Far more than a request may have: a million of them would take seconds to read.
    instances: Annotated[list[Instance], Field(fail_fast=True, max_length=10_000)]
    parameters: Parameters | None = None


class VertexAnswer(BaseModel):
    """One prediction for each instance, in their order."""

    predictions: list[ScoredImage | FailedImage]


def router(settings: Settings) -> APIRouter:
    """Returns the routes that Vertex AI asks for."""
    routes = APIRouter()
    if settings.aip_health_route:
        responses = problem_responses(errors.NotReady, errors.Draining) | shown(READY.answer)
        routes.add_api_route(settings.aip_health_route, health.ready, responses=responses)
    if settings.aip_predict_route:
        body = json_body(VertexBody)
        body["requestBody"]["content"]["application/json"]["example"] = VERTEX.request
        routes.add_api_route(
            settings.aip_predict_route,
            predict,
            methods=["POST"],
            response_model=VertexAnswer,
            responses=problem_responses(
                *errors.OF_A_BODY, errors.LabelSetNotFound, errors.InvalidLabels, errors.InvalidTemplate
            )
            | shown(VERTEX.answer),
            openapi_extra=body,
        )
    return routes


def shown(answer: Any) -> dict[int | str, dict[str, Any]]:
    """Returns an example of an answer as a route has it: for a path that only the settings know."""
    return {200: {"content": {"application/json": {"example": answer}}}}


async def predict(request: Request) -> Response:
    """Scores labels against one image an instance; an instance that cannot be used fails alone."""
    engine: Engine = request.app.state.engine
    _ = engine.encoder  # not ready is said before the body is read
    body = await read_json(request, VertexBody)
    instances, parameters = body.instances, body.parameters or Parameters()
    check_count(request, len(instances), "/instances")
    check_total(request, instances, parameters)
    with remap_pointers(PARAMETERS):
        options = [parameters.of(instance) for instance in instances]

    def prediction(
        picture: EmbeddedImage | ServiceError, own: Classes | ServiceError, asked: ClassifyOptions
    ) -> ScoredImage | FailedImage:
        for one in (picture, own):
            if isinstance(one, ServiceError):
                return failed(request, one)
        return score(engine, picture, own, asked)  # type: ignore[arg-type]  # neither is an error

    def answer() -> str:
        rows = zip(pictures, classes, options, strict=True)
        return f'{{"predictions":[{",".join(prediction(*row).model_dump_json() for row in rows)}]}}'

    with engine.admission.permit(len(instances)):
        images = [instance.image for instance in instances]
        classes, pictures = await together(
            embed_each(request, instances, options), embed_image_files(request, images, "/instances/{}/image")
        )
        content = await engine.in_thread(answer)
    request.state.facts.update(images=len(instances))
    return Response(content, media_type="application/json")


def check_total(request: Request, instances: list[Instance], parameters: Parameters) -> None:
    """Refuses more labels in all, or more of them times templates, than one request may have.

    Raises:
        InvalidLabels, InvalidTemplate: There are so many.
    """
    max_labels: int = request.app.state.settings.max_labels
    total = sum(len(instance.labels or []) for instance in instances) + len(parameters.labels or [])
    if total > max_labels:
        detail = f"The instances have {total:,} labels in all; at most {max_labels:,} are accepted."
        raise InvalidLabels(detail, [Fault("/instances", detail)])
    if parameters.templates is not None:
        with remap_pointers(PARAMETERS):
            check_templates(parameters.templates, total)


async def embed_each(
    request: Request, instances: list[Instance], options: list[ClassifyOptions]
) -> list[Classes | ServiceError]:
    """Returns each instance's labels embedded, or why its own cannot be used; those of the parameters only once.

    Raises:
        ServiceError: The labels of the parameters cannot be used.
    """

    async def attempt(index: int) -> Classes | ServiceError:
        try:
            with remap_pointers({"/labels": f"/instances/{index}/labels"}):
                return await embed_classes(request, options[index])
        except ServiceError as error:
            return error

    sharing = [index for index, instance in enumerate(instances) if instance.labels is None]
    with remap_pointers(PARAMETERS):
        shared = [await embed_classes(request, options[index]) for index in sharing[:1]] * len(sharing)
    found: dict[int, Classes | ServiceError] = dict(zip(sharing, shared, strict=True))
    async with asyncio.TaskGroup() as group:
        own = [index for index in range(len(instances)) if index not in found]
        tasks = [group.create_task(attempt(index)) for index in own]
    found |= {index: task.result() for index, task in zip(own, tasks, strict=True)}
    return [found[index] for index in range(len(instances))]
