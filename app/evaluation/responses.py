"""What `POST /evaluate` returns."""

from typing import Annotated

from pydantic import BaseModel, Field

from app.evaluation.evaluation import Evaluation
from app.inference.embeddings import FINGERPRINT, ModelFingerprint
from app.label_sets.definition import LabelSetDefinition
from app.schemas import FAILED, LABELS, MODEL, FailedImage, ModelName, ResponseWarning, example

# An example has no null: FastAPI leaves it out.
SHARE = {"value": 0.9, "low": 0.8, "high": 0.95}
RELIABILITY = {
    "expected_calibration_error": 0.1702,
    "bins": [{"lower": 0.2667, "upper": 0.3333, "count": 4, "mean_score": 0.31, "share_true": 0.75}],
}
RELIABILITIES = {"answers": RELIABILITY, "top1": RELIABILITY}
PRECISION_AND_RECALL = {"precision": 0.9, "recall": 0.9}
ACCEPTED = {
    "images": 100,
    "accepted": 90,
    "precision": SHARE,
    "recall": SHARE,
    "f1": 0.9,
    "coverage": 0.9,
    "false_accept_rate": SHARE,
}
EVALUATION = {
    "schema_version": 1,
    "model_fingerprint": FINGERPRINT,
    "versions": {"siglip-service": "1.0.0", "numpy": "2.4.4"},
    "settings": {"model": "SigLIPBaseP16 google_224", "templates": ["This is a photo of {}."]},
    "labels": LABELS,
    "data": {
        "images": 100,
        "none_images": 10,
        "labels": 2,
        "labels_without_images": [],
        "multi_label": False,
        "decision": "top1",
    },
    "summary": {
        "top1": SHARE,
        "top5": SHARE,
        "macro_precision": SHARE,
        "macro_recall": SHARE,
        "macro_f1": SHARE,
        "map": SHARE,
        "false_accept_rate": SHARE,
    },
    "per_label": [
        PRECISION_AND_RECALL
        | {"index": index, "label": label, "support": 45, "predicted": 45, "f1": 0.9, "average_precision": 0.95}
        for index, label in enumerate(LABELS)
    ],
    "confusions": [{"true": 0, "predicted": 1, "images": 4}],
    "confusions_left_out": 0,
    "curve": [
        PRECISION_AND_RECALL
        | {"threshold": 0.24, "accepted": 90, "coverage": 0.9, "top1_precision": 0.9, "false_accept_rate": 0.1}
    ],
    "reliability": RELIABILITIES,
    "thresholds": {
        "goal": "precision",
        "asked": 0.9,
        "threshold": 0.24,
        "per_label": [
            PRECISION_AND_RECALL
            | {"index": index, "label": label, "threshold": 0.24, "source": "label", "images": 45, "accepted": 45}
            for index, label in enumerate(LABELS)
        ],
        "min_images": 20,
        "held_out": "folds",
        "with_set_threshold": ACCEPTED,
        "with_label_thresholds": ACCEPTED,
    },
    "calibration": {
        "slope": 0.82,
        "intercept": 1.7,
        "per_label": [{"index": 0, "slope": 0.82, "intercept": 1.7, "source": "set"}],
        "held_out": "folds",
        "before": RELIABILITIES,
        "after": RELIABILITIES,
    },
    "mistakes": [
        {"image": 7, "name": "cats.jpg", "true": [0], "best": 1, "score": 0.41, "second": 0, "second_score": 0.38}
    ],
    "doubtful": [],
    "comparisons": [],
    "warnings": [],
}


class UnusedImage(FailedImage):
    """An image that cannot be used. It is not in the metrics."""

    index: Annotated[int, Field(description="In the request, counted from 0.")]


class EvaluateResponse(BaseModel):
    """The numbers of `siglip evaluate --json`, and the label set with what was chosen."""

    model_config = example(
        {
            "model": MODEL,
            "model_fingerprint": FINGERPRINT,
            "evaluation": EVALUATION,
            "failed": [{"index": 1, **FAILED}],
            "label_set": {
                "labels": LABELS,
                "templates": ["This is a photo of {}."],
                "threshold": 0.24,
                "calibration": {"slope": 0.82, "intercept": 1.7},
            },
            "warnings": [],
        }
    )

    model: ModelName
    model_fingerprint: ModelFingerprint
    evaluation: Annotated[
        Evaluation, Field(description="As `siglip evaluate --json` prints it. `image` is an index in the request.")
    ]
    failed: Annotated[list[UnusedImage], Field(description="The images that cannot be used.")]
    label_set: Annotated[
        LabelSetDefinition | None,
        Field(
            exclude_if=lambda value: value is None,
            description="With what was chosen, for `PUT /label-sets/{name}`. Left out without `goal` and `calibrate`.",
        ),
    ] = None
    warnings: list[ResponseWarning]
