import math

import numpy as np
import pytest

from app.inference.acceptance import TunedImage, TunedScore, Tuning
from app.inference.scoring import scored_image
from app.schemas import ClassifyOptions, ImageFacts
from model.zero_shot import Scores, sigmoid

FACTS = ImageFacts(width=1, height=1, format="PNG", notes=[])
NAN, INF = math.nan, math.inf


def scores_of(*logits: float) -> Scores:
    values = np.array(logits, np.float32)
    return Scores(values, sigmoid(values), values)


def thresholds(*values: float) -> Tuning:
    nothing = np.full(len(values), np.nan)
    return Tuning(np.array(values, np.float32), nothing, nothing, in_force=True)


def calibrations(*lines: tuple[float, float]) -> Tuning:
    slopes, intercepts = np.array(lines).T
    return Tuning(np.full(len(lines), np.nan, np.float32), slopes, intercepts, in_force=True)


@pytest.mark.parametrize(
    ("limits", "accepted"),
    [
        ((0.5, 0.5, 0.5), [2, 0]),
        ((0.0, 0.0, 0.0), [2, 0, 1]),
        ((INF, INF, INF), []),
        ((NAN, NAN, 0.5), [2]),
        ((NAN, INF, NAN), []),
        ((NAN, NAN, NAN), None),
    ],
)
def test_the_accepted_labels_are_those_that_reach_their_threshold_best_first(limits, accepted):
    assert thresholds(*limits).accepted(scores_of(0.0, -1.0, 3.0)) == accepted


def test_accepted_labels_with_equal_logits_keep_their_order():
    assert thresholds(*[0.1] * 6).accepted(scores_of(0, 1, 0, 1, 0, -9)) == [1, 3, 0, 2, 4]


def test_a_threshold_includes_its_value():
    scores = scores_of(-0.7567)
    value = float(scores.sigmoid[0])
    assert thresholds(value).accepted(scores) == [0]
    assert thresholds(float(np.nextafter(np.float32(value), np.float32(1)))).accepted(scores) == []


def test_a_label_is_accepted_rejected_or_without_a_threshold():
    answers = thresholds(0.5, INF, NAN).answers(scores_of(0, 9, 9), np.array([2, 0, 1]))
    assert answers == [(None, None), (True, None), (False, None)]


def test_a_probability_is_the_sigmoid_of_slope_times_logit_plus_intercept():
    answers = calibrations((0.5, 1), (NAN, NAN), (2, -1)).answers(scores_of(-3, 0, 1), np.array([2, 1, 0]))
    found = [probability for _, probability in answers]
    assert found == [pytest.approx(1 / (1 + math.exp(-1))), None, pytest.approx(1 / (1 + math.exp(0.5)))]


def test_the_largest_calibration_overflows_nothing():
    answers = calibrations((1e6, 1e6), (1e6, -1e6)).answers(scores_of(300, -300), np.array([0, 1]))
    assert answers == [(None, 1), (None, 0)]


def test_what_is_not_in_force_accepts_and_calibrates_nothing():
    tuning = Tuning.not_in_force(2)
    assert tuning.accepted(scores_of(9, 9)) is None
    assert tuning.answers(scores_of(9, 9), np.arange(2)) == [(None, None)] * 2


def test_a_result_has_all_accepted_labels_whatever_the_options_cut():
    options = ClassifyOptions(labels=["a", "b", "c"], top_k=1)
    scored = scored_image(FACTS, ["a", "b", "c"], scores_of(0, 1, 2), options, thresholds(0.4, INF, 0.5))
    assert isinstance(scored, TunedImage)
    assert scored.model_dump() == {
        "image": FACTS.model_dump(),
        "scores": [{"label": "c", "logit": 2, "sigmoid": 0.8807971, "softmax": 2, "accepted": True}],
        "accepted_labels": [{"index": 2, "label": "c"}, {"index": 0, "label": "a"}],
    }


def test_accepted_is_null_and_a_missing_probability_is_left_out_of_json():
    score = TunedScore(label="a", logit=0, sigmoid=0.5, softmax=1, accepted=None)
    assert score.model_dump_json() == '{"label":"a","logit":0.0,"sigmoid":0.5,"softmax":1.0,"accepted":null}'
