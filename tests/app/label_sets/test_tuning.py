import numpy as np
import pytest

from app.label_sets.definition import Calibration, LabelSetDefinition, TunedFor, check_label_set
from app.label_sets.tuning import bind, keep_binding, make_tuning

OURS, OTHER = "a" * 64, "b" * 64
INF, NAN = float("inf"), float("nan")


def definition(*labels, **more) -> LabelSetDefinition:
    sent = LabelSetDefinition.model_validate({"labels": [*labels], **more}, strict=True)
    return check_label_set(sent, 100)


CAT = {"label": "cat", "threshold": 0.3}


@pytest.mark.parametrize(
    ("label", "of_set", "expected"),
    [
        ({"label": "cat", "threshold": 0.25}, {"threshold": 0.5}, 0.25),
        ({"label": "cat", "threshold": None}, {"threshold": 0.5}, INF),
        ({"label": "cat"}, {"threshold": 0.5}, 0.5),
        ("cat", {"threshold": 0.5}, 0.5),
        ("cat", {"threshold": None}, INF),
        ({"label": "cat", "prompts": ["a cat"]}, {"threshold": 0.5}, 0.5),
        ("cat", {"calibration": {"slope": 1, "intercept": 0}}, NAN),
        ({"label": "cat", "threshold": 0}, {}, 0),
    ],
)
def test_a_threshold_is_the_labels_or_the_sets(label, of_set, expected):
    tuning = make_tuning(bind(definition(label, **of_set), OURS), OURS)
    assert tuning is not None
    assert tuning.in_force
    np.testing.assert_array_equal(tuning.thresholds, np.float32([expected]))


def test_a_calibration_is_the_labels_or_the_sets():
    own = {"label": "cat", "calibration": {"slope": 0.5, "intercept": -1}}
    tuning = make_tuning(bind(definition(own, "dog", calibration={"slope": 2, "intercept": 3}), OURS), OURS)
    assert tuning is not None
    assert (tuning.slopes.tolist(), tuning.intercepts.tolist()) == ([0.5, 2], [-1, 3])
    tuning = make_tuning(bind(definition(own, "dog"), OURS), OURS)
    assert tuning is not None
    np.testing.assert_array_equal(tuning.slopes, [0.5, NAN])


def test_a_set_without_thresholds_and_calibration_has_no_tuning():
    assert make_tuning(definition("cat"), OURS) is None
    assert bind(definition("cat"), OURS).tuned_for is None


def test_a_set_is_bound_to_the_serving_encoder_and_its_texts_unless_it_names_others():
    plain = definition(CAT)
    assert bind(plain, OURS).tuned_for == TunedFor(model_fingerprint=OURS, texts=plain.texts_digest)
    named = definition(CAT, tuned_for={"model_fingerprint": OTHER, "texts": plain.texts_digest})
    assert bind(named, OURS) == named


@pytest.mark.parametrize(("fingerprint", "texts"), [(OTHER, None), (OURS, "0" * 64)])
def test_with_another_encoder_or_other_texts_nothing_is_in_force(fingerprint, texts):
    tuned_for = {"model_fingerprint": fingerprint, "texts": texts or definition(CAT).texts_digest}
    tuning = make_tuning(definition(CAT, tuned_for=tuned_for), OURS)
    assert tuning is not None
    assert not tuning.in_force
    assert np.isnan(tuning.thresholds).all()


@pytest.mark.parametrize(
    "texts",
    [
        definition("dog", threshold=0.3),
        definition("cat", "dog", threshold=0.3),
        definition("cat", threshold=0.3, templates=["a {}"]),
        definition({"label": "cat", "prompts": ["This is a photo of cat."]}, threshold=0.3),
    ],
)
def test_edited_texts_are_other_texts(texts):
    assert texts.texts_digest != definition(CAT).texts_digest


def test_thresholds_and_calibration_are_not_part_of_the_texts():
    tuned = definition({"label": "cat", "threshold": 0.3}, calibration=Calibration(slope=1, intercept=0).model_dump())
    assert tuned.texts_digest == definition("cat").texts_digest == definition("cat").digest != tuned.digest


def test_an_operators_unchanged_file_keeps_what_it_was_tuned_for():
    stored = bind(definition(CAT), OTHER)
    assert keep_binding(definition(CAT), stored) == stored
    changed = definition({"label": "cat", "threshold": 0.4})
    assert keep_binding(changed, stored).tuned_for is None
    named = bind(definition(CAT), OURS)
    assert keep_binding(named, stored) == named
    assert keep_binding(definition(CAT), None).tuned_for is None
