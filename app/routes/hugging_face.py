"""POST / and POST /hf: zero-shot image classification for Hugging Face's clients.

| client                          | body                                                                               |
|---------------------------------|------------------------------------------------------------------------------------|
| huggingface_hub, to 0.25        | `{"image": "...", "parameters": {"candidate_labels": "dog,cat"}}`                  |
| huggingface_hub 0.26            | `{"inputs": {"image": "...", "candidateLabels": "dog,cat"}, "parameters": {...}}`  |
| huggingface_hub, from 0.27      | `{"inputs": "...", "parameters": {"candidate_labels": ["dog", "cat"], ...}}`       |
| huggingface.js                  | `{"inputs": {"image": "..."}, "parameters": {"candidate_labels": ["dog", "cat"]}}` |

Source: huggingface_hub `inference/_client.py`, by tag; huggingface.js `tasks/cv/zeroShotImageClassification.ts`.
"""

import asyncio
import json
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, Field, RootModel, model_validator

from app import errors
from app.errors import InvalidRequest, NotReady
from app.http.bodies import json_body, read_json
from app.http.problems import problem_responses
from app.routes.scoring import Scoring, remap_pointers
from app.schemas import LABELS, PNG, SCORES, ClassifyOptions, Frame, ResponseWarning, ScoredImage, Sent, Texts, example

router = APIRouter()

# huggingface.js repeats a 503 at once and without end. With this pause it asks once a second while the model loads.
NOT_READY_PAUSE_S = 1.0
# The body is an array, so the warnings are in a header, which must stay short.
WARNINGS = "X-SigLIP-Warnings"
MAX_INDICES = 100  # of a warning in the header


def split_labels(given: Any) -> Any:
    """Returns labels that are one text, as clients to 0.26 send them, as a list."""
    return given.split(",") if isinstance(given, str) else given


def wrap_text(given: Any) -> Any:
    """Returns `inputs` that is the image itself as the object that other clients send."""
    return {"image": given} if isinstance(given, str) else given


Labels = Annotated[
    Texts | None,
    BeforeValidator(split_labels, json_schema_input_type=list[str] | str | None),
    Field(description="The labels, as a list, or in one text with commas between them."),
]
Base64 = Annotated[str, Field(description="The image file as standard base64.")]


class Parameters(Sent):
    """The labels, the template and, of our own, the frame."""

    candidate_labels: Labels = None
    frame: Frame = 0
    hypothesis_template: Annotated[
        str | None, Field(description="A sentence with `{}` for the label. Default: `This is a photo of {}.`")
    ] = None


class Inputs(Sent):
    """The image; from huggingface_hub 0.26 with its labels."""

    image: Base64
    candidateLabels: Labels = None


class HuggingFaceBody(Sent):
    """A request of any of the four kinds."""

    model_config = example({"inputs": PNG, "parameters": {"candidate_labels": LABELS}})

    inputs: Annotated[Inputs | None, BeforeValidator(wrap_text, json_schema_input_type=Base64 | Inputs | None)] = None
    image: Base64 | None = None
    parameters: Parameters | None = None

    @model_validator(mode="after")
    def has_one_image_and_labels(self) -> Self:
        """Refuses a body without an image or labels, or with two of either."""
        if (self.inputs is None) == (self.image is None):
            missing = "inputs is missing. Send" if self.image is None else "inputs and image are both there. Send one:"
            raise InvalidRequest.at("/inputs", f"{missing} the image file as base64.")
        if (self._in_inputs is None) == (self._in_parameters is None):
            missing = "is missing. Send" if self._in_inputs is None else "is there twice. Send once"
            raise InvalidRequest.at(
                "/parameters/candidate_labels", f"parameters/candidate_labels {missing} the labels."
            )
        return self

    @property
    def _in_inputs(self) -> list[str] | None:
        return self.inputs.candidateLabels if self.inputs else None

    @property
    def _in_parameters(self) -> list[str] | None:
        return self.parameters.candidate_labels if self.parameters else None

    @property
    def base64(self) -> str:
        """The image, without the `data:` prefix, which transformers accepts too."""
        image = self.inputs.image if self.inputs else self.image or ""
        return image.partition(",")[2] if image.startswith("data:image/") else image

    @property
    def options(self) -> ClassifyOptions:
        """The labels and the template in our own schema."""
        template = self.parameters.hypothesis_template if self.parameters else None
        return ClassifyOptions(
            labels=self._in_parameters if self._in_inputs is None else self._in_inputs,
            templates=None if template is None else [template],
            frame=self.parameters.frame if self.parameters else 0,
        )

    @property
    def places(self) -> dict[str, str]:
        """The pointers of our fields in this body."""
        return {
            "/image": "/inputs" if self.inputs else "/image",
            "/labels": "/parameters/candidate_labels" if self._in_inputs is None else "/inputs/candidateLabels",
            "/templates/0": "/parameters/hypothesis_template",
        }


class LabelScore(BaseModel):
    """One label. `score` is the sigmoid, as it is for SigLIP in transformers; the other fields are ours."""

    label: str
    score: float
    sigmoid: float
    softmax: float
    logit: float


class HuggingFaceResponse(RootModel[list[LabelScore]]):
    """The labels by falling score."""

    model_config = example([score | {"score": score["sigmoid"]} for score in SCORES])


ROUTE: dict[str, Any] = {
    "response_model": HuggingFaceResponse,
    "responses": {
        200: {
            "headers": {
                WARNINGS: {
                    "schema": {"type": "string"},
                    "description": "The warnings, if there are any, as a JSON array of `code` and up to 100 `labels`.",
                }
            }
        },
        **problem_responses(*errors.BODY_ERRORS, errors.InvalidLabels, errors.InvalidTemplate, *errors.IMAGE_ERRORS),
    },
    "openapi_extra": json_body(HuggingFaceBody),
}


@router.post("/", **ROUTE)
@router.post("/hf", **ROUTE)
async def zero_shot_image_classification(request: Request) -> Response:
    """Scores each label for one image, for Hugging Face's clients: `InferenceClient(model="http://host:8000")`."""
    try:
        scoring = Scoring(request)
    except NotReady:
        await asyncio.sleep(NOT_READY_PAUSE_S)
        raise
    return await scored(scoring, await read_json(request, HuggingFaceBody))


async def scored(scoring: Scoring, body: HuggingFaceBody) -> Response:
    """Returns the response to a body."""
    found: list[ResponseWarning] = []

    def content(scored: ScoredImage, warnings: list[ResponseWarning]) -> str:
        found.extend(warnings)
        rows = [LabelScore(score=score.sigmoid, **dict(score)) for score in scored.scores]
        return HuggingFaceResponse(rows).model_dump_json()

    with remap_pointers(body.places):
        response = await scoring.classify_one(body.base64, body.options, content)
    if found:
        response.headers[WARNINGS] = warnings_header(found)
    return response


def warnings_header(warnings: list[ResponseWarning]) -> str:
    """Returns codes and indices of labels as JSON. The messages are left out: they have labels, in any script."""
    short = [
        {"code": warning.code} | ({"labels": warning.labels[:MAX_INDICES]} if warning.labels else {})
        for warning in warnings
    ]
    return json.dumps(short, separators=(",", ":"))
