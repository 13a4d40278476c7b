import json
import tracemalloc

import jsonschema
import numpy as np
import pytest

from app.evaluation.evaluation import Evaluation, evaluate, from_json, json_schema
from tests.app.evaluation.synthetic import scores

BY = {"model_fingerprint": "f1", "versions": {"siglip-service": "1.0"}}


def evaluated(**options) -> Evaluation:
    logits, truth, labels = scores(images=200, labels=7)
    return evaluate(logits, truth, labels, **BY, goal=0.9, calibrate_by="label", **options)


def test_a_result_has_all_parts():
    result = evaluated(settings={"templates": ["a {}"]}, names=[f"{i}.jpg" for i in range(200)])
    assert (result.schema_version, result.model_fingerprint, result.versions) == (1, "f1", {"siglip-service": "1.0"})
    assert result.settings == {"templates": ["a {}"]}
    assert len(result.labels) == len(result.per_label) == len(result.thresholds.per_label) == 7
    assert result.data.none_images > 0
    assert result.calibration.after is not None
    assert result.mistakes[0].name.endswith(".jpg")


def test_json_is_valid_by_its_schema_and_reads_back_as_the_same_result():
    result = evaluated()
    values = json.loads(result.to_json())
    jsonschema.Draft202012Validator(json_schema()).validate(values)
    assert values == result.to_dict()
    assert from_json(result.to_json()) == result
    assert values["schema_version"] == 1


def test_the_schema_names_every_field_that_stored_results_rely_on():
    # A field that is missing here was renamed or removed: then SCHEMA_VERSION must grow.
    assert set(json_schema()["properties"]) >= {
        *("schema_version", "model_fingerprint", "versions", "settings", "labels", "data", "summary", "per_label"),
        *("confusions", "confusions_left_out", "curve", "reliability", "thresholds", "calibration", "mistakes"),
        *("doubtful", "comparisons", "warnings"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no json", "not the result of an evaluation"),
        ("[]", "not the result of an evaluation"),
        ('{"schema_version": 2}', "schema_version must be 1. Received: 2"),
        ("{}", "schema_version must be 1. Received: None"),
        ('{"schema_version": 1}', "model_fingerprint"),
    ],
)
def test_other_json_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        from_json(text)


@pytest.mark.parametrize(
    ("logits", "truth"),
    [
        ([[0.5]], [[True]]),
        ([[0.5]], [[False]]),
        ([[1.0, 2.0]], [[True, False]]),
        (np.eye(3).tolist(), np.eye(3, dtype=bool).tolist()),
        ([[1.0, 1.0]] * 4, [[True, False], [False, True]] * 2),
        ([[1.0, -1.0]] * 4, [[False, False]] * 4),
        ([[1.0, -1.0]] * 4, [[True, True]] * 4),
        ([[800.0, -800.0]] * 4, [[True, False]] * 4),
    ],
)
@pytest.mark.parametrize("goal", [0.8, "f1"])
def test_degenerate_sets_have_a_result_without_nan(logits, truth, goal):
    truth = np.array(truth)
    labels = [f"label {i}" for i in range(truth.shape[1])]
    result = evaluate(np.array(logits), truth, labels, **BY, goal=goal, calibrate_by="label")
    assert json.loads(result.to_json(), parse_constant=pytest.fail)["data"]["images"] == len(truth)
    assert "few_images" in [warning.code for warning in result.warnings]


@pytest.mark.slow
def test_ten_thousand_labels_need_little_more_memory_than_their_scores():
    logits, truth, labels = scores(images=300, labels=10_000, true=6.0)
    tracemalloc.start()
    result = evaluate(logits, truth, labels, **BY, goal=0.9, calibrate_by="label")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(result.per_label) == 10_000
    assert len(result.data.labels_without_images) > 9_000
    assert peak < 25 * logits.nbytes  # 300 MB; one [K, K] matrix of 8-byte counts would be 800 MB


def test_warnings_say_what_a_reader_must_know():
    logits, truth, _ = scores(images=50, labels=3)
    truth[:, 2] = False
    result = evaluate(logits, truth, ["missile", "missile", "c"], **BY)
    assert {warning.code: warning.labels for warning in result.warnings} == {
        "few_images": [],
        "labels_without_images": [2],
        "labels_repeated": [1],
    }
    assert (result.thresholds, result.calibration) == (None, None)


def test_images_worth_looking_at_are_the_most_confident_mistakes_and_the_closest_answers():
    logits = np.array([[3.0, 0.0, 1.0], [9.0, 0.0, 1.0], [2.0, 1.9, 0.0], [1.0, 5.0, 0.0]])
    truth = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    result = evaluate(logits, truth, ["a", "b", "c"], **BY)
    assert [(each.image, each.name, each.true, each.best) for each in result.mistakes] == [
        (1, "image 2", [], 0),
        (0, "image 1", [1], 0),
    ]
    assert [each.image for each in result.doubtful] == [2, 0, 3, 1]
    closest = result.doubtful[0]
    assert (closest.best, closest.second) == (0, 1)
    assert closest.score == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert closest.second_score == pytest.approx(1 / (1 + np.exp(-1.9)))


def test_a_single_label_leaves_nothing_in_doubt():
    result = evaluate(np.array([[1.0]]), np.array([[False]]), ["a"], **BY)
    assert (result.doubtful, result.mistakes[0].second) == ([], None)


def test_copies_of_an_image_are_never_chosen_and_reported_on():
    logits, truth, labels = scores(images=40, labels=2)
    logits, truth = np.repeat(logits, 2, axis=0), np.repeat(truth, 2, axis=0)
    part = np.arange(80) < 41
    with pytest.raises(ValueError, match="copies of an image"):
        evaluate(logits, truth, labels, **BY, goal="f1", groups=np.repeat(np.arange(40), 2), chosen_on=part)


def test_with_images_to_choose_on_all_numbers_are_about_the_other_images():
    logits, truth, labels = scores(images=600, labels=4)
    part = np.random.default_rng(0).random(600) < 0.6
    part[:2] = [True, False]
    names = [f"{row}.jpg" for row in range(600)]
    options = {"goal": 0.9, "calibrate_by": "set"}
    result = evaluate(logits, truth, labels, **BY, **options, names=names, chosen_on=part)
    alone = evaluate(logits[~part], truth[~part], labels, **BY)
    for name in ("data", "summary", "per_label", "confusions", "curve", "reliability"):
        assert getattr(result, name) == getattr(alone, name)
    assert result.chosen_on == evaluate(logits[part], truth[part], labels, **BY).data
    assert alone.chosen_on is None
    rows = np.flatnonzero(~part)
    assert [answer.image for answer in result.mistakes] == [rows[answer.image] for answer in alone.mistakes]
    assert {answer.name for answer in result.doubtful} == {f"{rows[answer.image]}.jpg" for answer in alone.doubtful}
    chosen = evaluate(logits[part], truth[part], labels, **BY, **options)
    assert result.thresholds.threshold == chosen.thresholds.threshold
    assert result.thresholds.with_set_threshold.images == (~part).sum()
    assert (result.calibration.slope, result.calibration.held_out) == (chosen.calibration.slope, "part")
    assert from_json(result.to_json()) == result


@pytest.mark.parametrize(
    ("options", "message"),
    [({"names": ["a.jpg"]}, "one name for each of the 200 images"), ({"chosen_on": np.ones(3)}, "chosen_on")],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        evaluated(**options)


def test_a_wrong_goal_is_refused():
    with pytest.raises(ValueError, match="goal must be"):
        evaluate(np.eye(2), np.eye(2, dtype=bool), ["a", "b"], **BY, goal=95.0)
