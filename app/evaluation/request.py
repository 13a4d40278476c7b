"""What `POST /evaluate` takes: images or their embeddings, the true labels of each, and what shall be chosen."""

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.errors import InvalidRequest
from app.evaluation.calibration import By
from app.evaluation.thresholds import Goal
from app.evaluation.truth import LabelledImage
from app.inference.embeddings import FINGERPRINT, ROW, EmbeddingRows, ModelFingerprint
from app.label_sets.definition import LabelSetDefinition, check_label_set
from app.schemas import FILE, LABELS, Frame, LabelChoice, Texts, example
from app.validation import parse_json
from model import zero_shot

MAX_SCORES = 5_000_000  # images times labels of an evaluation: up to 400 MB and 30 s on two busy cores
NO_FILE = Path()


def f1_or_precision(value: Any, precision: ValidatorFunctionWrapHandler) -> Goal:
    """Returns a goal. Pydantic's own union would name its branches in the pointers of errors."""
    if value == "f1":
        return "f1"
    try:
        number: float = precision(value)
    except ValidationError:
        raise PydanticCustomError("goal", 'Input should be "f1", or a precision above 0 and below 1') from None
    return number


AskedGoal = Annotated[
    float,
    Field(gt=0, lt=1),
    WrapValidator(f1_or_precision),
    WithJsonSchema({"anyOf": [{"const": "f1"}, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}]}),
]
INDEX = {"type": "integer", "minimum": 0}
Truth = Annotated[
    list[Any],  # `labelled_images` reads the elements. Pydantic would copy each number.
    WithJsonSchema({"type": "array", "items": {"anyOf": [INDEX, {"type": "array", "items": INDEX}]}}),
    Field(
        description="One element for each image: the index of its true label, counted from 0, or a list of indices; "
        "`[]`: none of the labels."
    ),
]
Names = Annotated[Texts, Field(description="One name for each image, for the response. Default: its number, from 1.")]


def array_in_text(name: str) -> BeforeValidator:
    """Returns a validator that reads a form's field, which is text, as JSON."""

    def read(value: Any) -> Any:
        return parse_json(value, name) if isinstance(value, str) else value

    return BeforeValidator(read)


IN_TEXT = WithJsonSchema({"type": "string", "description": "A JSON array, as in a JSON body."})


class EvaluateOptions(LabelChoice):
    """Everything in a request to evaluate except the images."""

    truth: Truth
    names: Names | None = None
    goal: Annotated[
        AskedGoal | None,
        Field(description="Choose thresholds: those with the best F1, or for this precision. Default: none."),
    ] = None
    calibrate: Annotated[
        By | None,
        Field(description="Fit probabilities: one calibration for the set, or one for each label. Default: none."),
    ] = None
    frame: Frame = 0


class EvaluateBody(EvaluateOptions):
    """Labelled images as JSON, or their embeddings."""

    model_config = example(
        {
            "embeddings": [ROW, ROW],
            "model_fingerprint": FINGERPRINT,
            "truth": [0, [0, 1]],
            "names": ["cats.jpg", "both.jpg"],
            "labels": LABELS,
            "goal": "f1",
        }
    )

    embeddings: EmbeddingRows | None = None
    model_fingerprint: ModelFingerprint | None = None
    images: Annotated[Texts, Field(description="Instead of `embeddings`: the image files as standard base64.")] = Field(
        default=[]
    )

    @model_validator(mode="after")
    def has_images_or_embeddings(self) -> Self:
        """Refuses images with embeddings, neither of them, and embeddings without their encoder."""
        if (self.embeddings is None) != ("images" in self.model_fields_set):
            raise InvalidRequest.at("/images", "Send images, or embeddings with their model_fingerprint")
        if self.embeddings is not None and self.model_fingerprint is None:
            message = "model_fingerprint is missing. Send the one that POST /embed/batch returned with the embeddings."
            raise InvalidRequest.at("/model_fingerprint", message)
        return self


class EvaluateForm(EvaluateOptions):
    """Labelled images as a form."""

    model_config = example({"images": [FILE, FILE], "truth": "[0, [0, 1]]", "labels": LABELS, "goal": 0.9})

    images: Annotated[list[bytes], Field(description="The image files; repeat the field.")]
    truth: Annotated[list[Any], array_in_text("truth"), IN_TEXT]
    names: Annotated[Texts | None, array_in_text("names"), IN_TEXT] = None


def labelled_images(options: EvaluateOptions, num_images: int, num_labels: int) -> list[LabelledImage]:
    """Returns the name and the true labels of each image of a request.

    Raises:
        InvalidRequest: There is not one element for each image, or an index is not that of a label.
    """
    for field in ("truth", "names"):
        given = getattr(options, field)
        if given is not None and len(given) != num_images:
            message = f"{field} has {len(given):,} elements; send one for each of the {num_images:,} images"
            raise InvalidRequest.at(f"/{field}", message)
    names = options.names or [f"image {number}" for number in range(1, num_images + 1)]
    return [
        LabelledImage(name, NO_FILE, true_labels(element, index, num_labels))
        for index, (name, element) in enumerate(zip(names, options.truth, strict=True))
    ]


def true_labels(element: Any, index: int, num_labels: int) -> tuple[int, ...]:
    """Returns the indices of one image's true labels."""
    found = element if isinstance(element, list) else [element]
    if not all(type(label) is int and 0 <= label < num_labels for label in found):
        raise InvalidRequest.at(
            f"/truth/{index}",
            f"The truth of image {index + 1:,} must be the index of a label, 0 to {num_labels - 1:,}, or a list of "
            "indices; [] says that none of the labels is true",
        )
    return tuple(sorted(set(found)))


def sent_labels(options: EvaluateOptions, max_labels: int) -> LabelSetDefinition:
    """Returns the labels of a request that names no label set.

    Raises:
        InvalidLabels: A label cannot be used.
        InvalidTemplate: A template cannot be used.
    """
    templates = zero_shot.DEFAULT_TEMPLATES if options.templates is None else options.templates
    definition = LabelSetDefinition(labels=list(options.labels or []), templates=list(templates))
    return check_label_set(definition, max_labels)


def check_num_scores(num_images: int, num_labels: int) -> None:
    """Raises InvalidRequest if an evaluation would have more than `MAX_SCORES` scores."""
    if num_images * num_labels > MAX_SCORES:
        raise InvalidRequest(
            f"{num_images:,} images with {num_labels:,} labels are {num_images * num_labels:,} scores; an evaluation "
            f"has at most {MAX_SCORES:,}. Send fewer images, or use `siglip evaluate`."
        )
