"""All numbers of one evaluation, in one result with a versioned JSON form.

`json_schema()` documents every field. Within one `SCHEMA_VERSION`, fields may be added; a field is neither renamed nor
removed, and its meaning does not change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue, TypeAdapter, ValidationError

from app.evaluation.answers import Answers, Logits, Truth, check_scores, find_answers
from app.evaluation.calibration import By, Calibration, calibrate
from app.evaluation.comparison import Comparison
from app.evaluation.curves import CurvePoint, Reliabilities, coverage_curve, reliabilities
from app.evaluation.folds import make_splits
from app.evaluation.metrics import (
    Confusion,
    Data,
    LabelMetrics,
    Summary,
    confusions,
    describe_data,
    label_metrics,
    summarize,
)
from app.evaluation.result import Documented, Warned
from app.evaluation.thresholds import Goal, Thresholds, check_goal, tune_thresholds
from model.zero_shot import sigmoid

SCHEMA_VERSION = 1
MAX_IMAGES_SHOWN = 24  # mistakes, and as many doubtful images
FEW_IMAGES = 100  # the 95 % interval of top-1 can be wider than 0.2


@dataclass(frozen=True, kw_only=True)
class ImageAnswer(Documented):
    """One image that is worth looking at."""

    image: int
    """Its row."""
    name: str
    true: list[int]
    """Indices of the true labels; empty for "none of these"."""
    best: int
    score: float
    """The sigmoid of the best label."""
    second: int | None
    second_score: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation(Documented):
    """All numbers of one evaluation."""

    schema_version: int = SCHEMA_VERSION
    model_fingerprint: str
    versions: dict[str, str]
    settings: dict[str, JsonValue]
    """What was evaluated, as the caller describes it: checkpoint, engine, templates, source of the images."""
    labels: list[str]
    data: Data
    """The images that all numbers are about, except those of `thresholds` that say what was chosen."""
    chosen_on: Data | None = None
    """The images that thresholds and calibration were chosen on, if they are other ones than `data`."""
    summary: Summary
    per_label: list[LabelMetrics]
    confusions: list[Confusion]
    """The most frequent first."""
    confusions_left_out: int
    """Pairs of labels that are not listed in `confusions`."""
    curve: list[CurvePoint]
    reliability: Reliabilities
    thresholds: Thresholds | None
    calibration: Calibration | None
    mistakes: list[ImageAnswer]
    """Wrong best labels, the highest score first."""
    doubtful: list[ImageAnswer]
    """Images whose two best labels have the closest logits."""
    comparisons: list[Comparison] = field(default_factory=list)
    warnings: list[Warned]

    def to_dict(self) -> dict[str, Any]:
        """Returns the result as JSON values."""
        values: dict[str, Any] = _adapter().dump_python(self, mode="json")
        return values

    def to_json(self, indent: int | None = None) -> str:
        """Returns the result as JSON text."""
        return _adapter().dump_json(self, indent=indent).decode()


def from_json(text: str | bytes) -> Evaluation:
    """Reads a result that `Evaluation.to_json` wrote. Unknown fields are ignored.

    Raises:
        ValueError: The text is not such a result, or has another `schema_version`.
    """
    try:
        version = TypeAdapter(dict[str, Any]).validate_json(text).get("schema_version")
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version must be {SCHEMA_VERSION}. Received: {version}")
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the text"
        raise ValueError(f"This is not the result of an evaluation: {place}: {first['msg']}") from None


def json_schema() -> Mapping[str, Any]:
    """Returns the JSON schema of `Evaluation.to_json`."""
    return _adapter().json_schema(mode="serialization")


@cache
def _adapter() -> TypeAdapter[Evaluation]:
    return TypeAdapter(Evaluation)


def evaluate(  # noqa: PLR0913 - every option is named at the call
    logits: Logits,
    truth: Truth,
    labels: Sequence[str],
    *,
    model_fingerprint: str,
    versions: Mapping[str, str],
    settings: Mapping[str, JsonValue] | None = None,
    names: Sequence[str] | None = None,
    goal: Goal | None = None,
    calibrate_by: By | None = None,
    groups: Sequence[int] | NDArray[np.integer] | None = None,
    chosen_on: NDArray[np.bool_] | None = None,
) -> Evaluation:
    """Returns all numbers for the scores of labelled images.

    Args:
        logits: [N, K] float, `scale * cos + bias`.
        truth: [N, K] bool; a row without True is an image of "none of these".
        labels: K texts. Two labels may have the same text.
        model_fingerprint: Which weights and rules made the logits.
        versions: Package -> version.
        settings: What was evaluated, for the reader.
        names: N names of the images, such as their paths. Default: their numbers, from 1.
        goal: Thresholds to choose: an asked precision, or "f1". Default: none.
        calibrate_by: Calibration to fit: one for the "set", or one for each "label". Default: none.
        groups: [N]; images with equal numbers, such as copies of one file, stay together in folds. Default: each image
            is its own group.
        chosen_on: [N] bool; thresholds and calibration are chosen on these images, and all numbers are about the
            others. Default: all numbers are about all images, and thresholds are reported by five stratified folds.

    Raises:
        ValueError: An input has a wrong shape, type or value.
    """
    check_scores(logits, truth, labels)
    if names is not None and len(names) != len(logits):
        raise ValueError(f"there must be one name for each of the {len(logits)} images. Received: {len(names)}")
    if goal is not None:
        check_goal(goal)
    splits = make_splits(truth, groups, chosen_on)
    answers = find_answers(logits, truth)
    thresholds = calibration = choosing = None
    tuning_warnings: list[Warned] = []
    if goal is not None:
        thresholds, more = tune_thresholds(logits, truth, labels, goal, splits)
        tuning_warnings += more
    if calibrate_by is not None:
        calibration, more = calibrate(logits, truth, answers.best, calibrate_by, splits)
        tuning_warnings += more
    rows = np.arange(len(logits))
    if chosen_on is not None:
        choosing, rows = describe_data(truth[chosen_on]), np.flatnonzero(~chosen_on)
        logits, truth, answers = logits[rows], truth[rows], Answers(*(each[rows] for each in answers))
    data = describe_data(truth)
    per_label = label_metrics(logits, truth, labels, answers, data)
    listed, left_out = confusions(answers, len(labels))
    shown = [names[row] if names is not None else f"image {row + 1}" for row in rows.tolist()]
    mistakes, doubtful = _worth_looking_at(logits, truth, answers, shown, rows)
    return Evaluation(
        model_fingerprint=model_fingerprint,
        versions=dict(versions),
        settings=dict(settings or {}),
        labels=list(labels),
        data=data,
        chosen_on=choosing,
        summary=summarize(logits, truth, per_label, answers, data),
        per_label=per_label,
        confusions=listed,
        confusions_left_out=left_out,
        curve=coverage_curve(logits, truth, answers),
        reliability=reliabilities(logits, truth, answers.best),
        thresholds=thresholds,
        calibration=calibration,
        mistakes=mistakes,
        doubtful=doubtful,
        warnings=[*_warnings(data, labels), *tuning_warnings],
    )


def _warnings(data: Data, labels: Sequence[str]) -> Iterator[Warned]:
    """Yields what a reader must know about the images and labels."""
    if data.images < FEW_IMAGES:
        reason = f"There are only {data.images} images, so the intervals are wide. Use at least {FEW_IMAGES}."
        yield Warned("few_images", reason)
    if data.images == data.none_images:
        yield Warned("only_none_images", "No image has a true label, so there is no accuracy.")
    if data.labels_without_images:
        reason = f"Labels without images: {len(data.labels_without_images):,}. They are left out of the macro averages."
        yield Warned("labels_without_images", reason, data.labels_without_images)
    first: dict[str, int] = {}
    repeated = [index for index, label in enumerate(labels) if first.setdefault(label, index) != index]
    if repeated:
        reason = (
            f"Labels with the text of an earlier label: {len(repeated):,}. Only the label in the truth counts as right."
        )
        yield Warned("labels_repeated", reason, repeated)


def _worth_looking_at(
    logits: Logits, truth: Truth, answers: Answers, names: Sequence[str], rows: NDArray[np.intp]
) -> tuple[list[ImageAnswer], list[ImageAnswer]]:
    """Returns the most confident mistakes, and the images whose two best labels are closest.

    `names` and `rows` are those of the images in the result.
    """
    each = np.arange(len(logits))
    best, second = logits[each, answers.best], logits[each, answers.second]
    scores = sigmoid(np.stack([best, second], axis=1).astype(np.float64))
    wrong = np.flatnonzero(answers.rank != 0)
    mistakes = wrong[np.argsort(-best[wrong], kind="stable")][:MAX_IMAGES_SHOWN]
    doubtful = np.argsort(best - second, kind="stable")[: MAX_IMAGES_SHOWN if logits.shape[1] > 1 else 0]

    def shown(image: int) -> ImageAnswer:
        several = logits.shape[1] > 1
        return ImageAnswer(
            image=int(rows[image]),
            name=names[image],
            true=np.flatnonzero(truth[image]).tolist(),
            best=int(answers.best[image]),
            score=float(scores[image, 0]),
            second=int(answers.second[image]) if several else None,
            second_score=float(scores[image, 1]) if several else None,
        )

    return [shown(image) for image in mistakes.tolist()], [shown(image) for image in doubtful.tolist()]
