from dataclasses import replace

import numpy as np
import pytest

from app.evaluation.evaluation import Evaluation, evaluate
from app.evaluation.result import Warned
from app.evaluation.statements import how_chosen, warning_text
from tests.app.evaluation.synthetic import scores


def result(images: int = 100, part: np.ndarray | None = None, **settings: list[str]) -> Evaluation:
    logits, truth, labels = scores(images=images, labels=5)
    return evaluate(
        logits, truth, labels, model_fingerprint="", versions={}, settings=settings, goal="f1", chosen_on=part
    )


@pytest.mark.parametrize(
    ("evaluation", "statement"),
    [
        (
            result(data=["new"]),
            "Chosen on 100 images of new. Measured on the same images in at most five parts: each part with what was "
            "chosen on the other parts.",
        ),
        (
            result(part=np.arange(100) < 60, data=["d", "e"], chosen_on=["a", "b", "c"]),
            "Chosen on 60 images of a, b, c. Measured on 40 images of d, e, which were not used for choosing.",
        ),
        (result(images=1), "Chosen on 1 images. There are too few images to measure on others."),
    ],
)
def test_it_is_said_which_images_thresholds_were_chosen_and_measured_on(evaluation, statement):
    assert how_chosen(evaluation) == statement


@pytest.mark.parametrize(
    ("labels", "text"),
    [([], "Look."), ([4], "Look. (label 4)"), ([0, 1, 2, 3, 4], "Look. (label 0, label 1, label 2 and 2 more)")],
)
def test_a_warning_names_its_first_labels(labels, text):
    assert warning_text(replace(result()), Warned("w", "Look.", labels)) == text
